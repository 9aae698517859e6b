"""The database file: connections, schema, migrations, backup, restore, and checks."""
