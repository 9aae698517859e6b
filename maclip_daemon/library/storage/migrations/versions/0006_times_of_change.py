"""Times that no program can set back: the last change of a photo's file, and of the check of its rating."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("photos", sa.Column("ctime_ns", sa.BigInteger(), nullable=True))
    op.add_column("photos", sa.Column("rating_checked_at", sa.String(), nullable=True))
