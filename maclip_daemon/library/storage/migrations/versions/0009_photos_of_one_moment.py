"""Photos of one moment: what grouping knows of each photo, and the groups; the camera and the lens."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("photos", sa.Column("camera", sa.String(), nullable=True))
    op.add_column("photos", sa.Column("lens", sa.String(), nullable=True))
    op.create_table(
        "bursts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("best_id", sa.Integer(), nullable=True),
        sa.Column("margin", sa.Double(), nullable=True),
        sa.Column("spread", sa.Double(), nullable=True),
        sa.Column("is_close", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_moment", sa.BigInteger(), nullable=False),
        sa.Column("last_moment", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind in ('burst', 'bracket', 'panorama', 'focus stack', 'duplicate', 'time lapse')",
            name=op.f("bursts_kind_known"),
        ),
        sa.ForeignKeyConstraint(
            ["best_id"], ["photos.id"], name=op.f("bursts_best_id_photos"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("bursts_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("bursts_best_id", "bursts", ["best_id"])
    op.create_index("bursts_first_moment", "bursts", ["first_moment"])
    op.create_table(
        "burst_frames",
        sa.Column("photo_id", sa.Integer(), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.Column("name_order", sa.String(), nullable=False),
        sa.Column("exposure_s", sa.Double(), nullable=True),
        sa.Column("aperture", sa.Double(), nullable=True),
        sa.Column("iso", sa.Double(), nullable=True),
        sa.Column("bias_ev", sa.Double(), nullable=True),
        sa.Column("focal_mm", sa.Double(), nullable=True),
        sa.Column("is_bracketed", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("burst_id", sa.Integer(), nullable=True),
        sa.Column("burst_rank", sa.Integer(), nullable=True),
        sa.Column("is_stale", sa.Boolean(), server_default=sa.text("1"), nullable=False),
        sa.Column("descriptor", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["burst_id"], ["bursts.id"], name=op.f("burst_frames_burst_id_bursts"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("burst_frames_photo_id_photos"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("photo_id", name=op.f("burst_frames_key")),
    )
    op.create_index(
        "burst_frames_series_moment_name_order",
        "burst_frames",
        ["series", "moment", "name_order", "photo_id"],
    )
    op.create_index("burst_frames_burst_id_burst_rank", "burst_frames", ["burst_id", "burst_rank"])
    op.create_index("burst_frames_stale", "burst_frames", ["photo_id"], sqlite_where=sa.text("is_stale = 1"))
