"""A person's decisions in the review page, and picked photos."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("photos", sa.Column("is_picked", sa.Boolean(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("photo_id", sa.Integer(), nullable=False),
        sa.Column("review", sa.String(), nullable=False),
        sa.Column("press", sa.Integer(), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("pick", sa.Boolean(), nullable=True),
        sa.Column("seen", sa.Integer(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), server_default="waiting", nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("decided_at", sa.String(), nullable=False),
        sa.Column("settled_at", sa.String(), nullable=True),
        sa.CheckConstraint(
            "state in ('waiting', 'written', 'refused', 'undone', 'replaced')",
            name=op.f("decisions_state_known"),
        ),
        sa.CheckConstraint("rating BETWEEN -1 AND 5", name=op.f("decisions_rating_known")),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("decisions_photo_id_photos"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("decisions_key")),
    )
    op.create_index(op.f("decisions_photo_id"), "decisions", ["photo_id"], unique=False)
    op.create_index(op.f("decisions_press"), "decisions", ["press"], unique=False)
    op.create_index(
        "decisions_waiting",
        "decisions",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "decision_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("decision_id", sa.Integer(), nullable=False),
        sa.Column("target_path", sa.Text(), nullable=False),
        sa.Column("before_hash", sa.String(), nullable=True),
        sa.Column("after_hash", sa.String(), nullable=False),
        sa.Column("restore_data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["decisions.id"],
            name=op.f("decision_files_decision_id_decisions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("decision_files_key")),
    )
    op.create_index(op.f("decision_files_decision_id"), "decision_files", ["decision_id"], unique=False)
