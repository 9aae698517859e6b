"""What is measured on a photo's pixels: focus, motion, noise, clipped light, JPEG damage, true resolution."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NUMBERS = (
    "focus",
    "motion",
    "motion_direction",
    "noise",
    "clipped_highlights",
    "clipped_shadows",
    "contrast",
    "jpeg_damage",
    "true_megapixels",
)


def upgrade() -> None:
    op.create_table(
        "measures",
        sa.Column("photo_id", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in NUMBERS),
        sa.Column("reasons", sa.String(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name="measures_photo_id_photos", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("photo_id", name="measures_key"),
    )
