"""Pairs of a RAW and its JPEG."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "photo_pairs",
        sa.Column("photo_id", sa.Integer(), nullable=False),
        sa.Column("raw_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("photo_pairs_photo_id_photos"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["raw_id"], ["photos.id"], name=op.f("photo_pairs_raw_id_photos"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("photo_id", name=op.f("photo_pairs_key")),
    )
    op.create_index(op.f("photo_pairs_raw_id"), "photo_pairs", ["raw_id"], unique=False)
