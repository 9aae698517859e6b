"""A journal entry may stand for several writes: which ratings they gave."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rating_journal", sa.Column("former_stars", sa.Integer(), nullable=True))
