"""The order of the scores, and the photos with a rating of a person's, are read from an index alone."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("scores_scoring_config_id_score", "scores")
    op.create_index(
        "scores_scoring_config_id_score_photo_id", "scores", ["scoring_config_id", "score", "photo_id"]
    )
    op.drop_index("photos_rating_owner", "photos")
    op.create_index(
        "photos_rating_owner_rating_in_file",
        "photos",
        ["rating_owner", "rating_in_file"],
        sqlite_where=sa.text("rating_owner <> 'none'"),
    )
