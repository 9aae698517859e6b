"""Where a rating file was when it was written: its photo may be renamed without it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rating_journal", sa.Column("origin_path", sa.Text(), nullable=True))
