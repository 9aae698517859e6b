"""Photos whose rating job went with their disk are marked, so that it is asked for when they are back."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "photos", sa.Column("is_rating_due", sa.Boolean(), server_default=sa.text("0"), nullable=False)
    )
    op.create_index(
        "photos_is_rating_due", "photos", ["is_rating_due"], sqlite_where=sa.text("is_rating_due = 1")
    )
