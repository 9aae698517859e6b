"""Photos by date, camera and lens, and those with reasons, are found by index."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("taken_at", "camera", "lens"):
        op.create_index(f"photos_{column}", "photos", [column], sqlite_where=sa.text(f"{column} IS NOT NULL"))
    op.create_index("measures_reasons", "measures", ["reasons"], sqlite_where=sa.text("reasons IS NOT NULL"))
