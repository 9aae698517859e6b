"""Whose files: the library's id, and a journal that follows a photo by its pixels."""

import json
import secrets
import time

import sqlalchemy as sa
from alembic import op

from maclip_daemon.library.storage import timestamps

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rating_journal", sa.Column("pixel_hash", sa.String(), nullable=True))
    op.add_column("rating_journal", sa.Column("adopted_from", sa.String(), nullable=True))
    op.add_column("photos", sa.Column("other_library", sa.String(), nullable=True))
    op.add_column("photos", sa.Column("may_replace", sa.String(), nullable=True))
    op.execute(
        "UPDATE rating_journal SET pixel_hash ="
        " (SELECT pixel_hash FROM photos WHERE photos.id = rating_journal.photo_id)"
    )
    op.create_index(
        "rating_journal_pixel_hash",
        "rating_journal",
        ["pixel_hash"],
        unique=False,
        sqlite_where=sa.text("pixel_hash IS NOT NULL"),
    )
    op.create_index("rating_journal_after_hash", "rating_journal", ["after_hash"], unique=False)
    op.create_index(
        "photos_other_library",
        "photos",
        ["other_library"],
        unique=False,
        sqlite_where=sa.text("other_library IS NOT NULL"),
    )
    op.execute(
        sa.text("INSERT INTO notes (key, value, changed_at) VALUES ('library', :value, :now)").bindparams(
            value=json.dumps({"id": secrets.token_hex(4), "former": []}), now=timestamps.text(time.time())
        )
    )
