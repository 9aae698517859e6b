"""What alembic runs: the migrations, on the connection that `schema.migrate` holds."""

from alembic import context

from maclip_daemon.library.storage.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transactional_ddl=True,  # SQLite can; alembic assumes it cannot
)
context.run_migrations()
