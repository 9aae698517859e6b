"""Scores have an overall and a detail cue; photos that are scored again wait behind new ones."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scores", sa.Column("overall_score", sa.Double(), nullable=True))
    op.add_column("scores", sa.Column("detail_score", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.drop_index("jobs_kind_state_not_before", "jobs")
    op.create_index(
        "jobs_kind_state_priority_not_before", "jobs", ["kind", "state", "priority", "not_before"]
    )
