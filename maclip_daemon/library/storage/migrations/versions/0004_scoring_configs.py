"""Scales are called scoring configurations: the table, and the columns that point to it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The rows stay where they are. Indexes cannot be renamed: they are built anew, 2 s for a million scores.
    op.drop_index("scales_one_active", "scales")
    op.drop_index("scores_scale_id_score", "scores")
    op.drop_index("scores_scale_id_folder_id_score", "scores")
    op.rename_table("scales", "scoring_configs")
    for table in ("scores", "calibrations"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN scale_id TO scoring_config_id")
    op.create_index(
        "scoring_configs_one_active",
        "scoring_configs",
        ["active"],
        unique=True,
        sqlite_where=sa.text("active = 1"),
    )
    op.create_index("scores_scoring_config_id_score", "scores", ["scoring_config_id", "score"])
    op.create_index(
        "scores_scoring_config_id_folder_id_score", "scores", ["scoring_config_id", "folder_id", "score"]
    )
