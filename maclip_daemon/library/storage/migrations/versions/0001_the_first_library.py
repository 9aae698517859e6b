"""The first library."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("notes_key")),
    )
    op.create_table(
        "roots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), server_default="new", nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("device", sa.BigInteger(), nullable=True),
        sa.Column("file_system", sa.String(), nullable=True),
        sa.Column("added_at", sa.String(), nullable=False),
        sa.Column("scanned_at", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("roots_key")),
        sa.UniqueConstraint("path", name=op.f("roots_path_unique")),
    )
    op.create_table(
        "scales",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("scales_key")),
        sa.UniqueConstraint("metric", "model", "protocol", name=op.f("scales_metric_model_protocol_unique")),
    )
    op.create_index(
        "scales_one_active", "scales", ["active"], unique=True, sqlite_where=sa.text("active = 1")
    )
    op.create_table(
        "calibrations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scale_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("photo_count", sa.Integer(), nullable=False),
        sa.Column("two_stars_from", sa.Double(), nullable=False),
        sa.Column("three_stars_from", sa.Double(), nullable=False),
        sa.Column("four_stars_from", sa.Double(), nullable=False),
        sa.Column("five_stars_from", sa.Double(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.String(), nullable=False),
        sa.CheckConstraint(
            "source in ('library', 'reference', 'absolute')", name=op.f("calibrations_source_known")
        ),
        sa.ForeignKeyConstraint(
            ["scale_id"], ["scales.id"], name=op.f("calibrations_scale_id_scales"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("calibrations_key")),
        sa.UniqueConstraint("scale_id", "number", name=op.f("calibrations_scale_id_number_unique")),
    )
    op.create_table(
        "folders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["root_id"], ["roots.id"], name=op.f("folders_root_id_roots"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("folders_key")),
        sa.UniqueConstraint("path", name=op.f("folders_path_unique")),
    )
    op.create_index(op.f("folders_root_id"), "folders", ["root_id"], unique=False)
    op.create_table(
        "photos",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("folder_id", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), server_default="waiting", nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("taken_at", sa.String(), nullable=True),
        sa.Column("pixel_hash", sa.String(), nullable=True),
        sa.Column("first_seen_at", sa.String(), nullable=False),
        sa.Column("missing_since", sa.String(), nullable=True),
        sa.Column("rating_in_file", sa.Integer(), nullable=True),
        sa.Column("rating_owner", sa.String(), server_default="none", nullable=False),
        sa.Column("stars_written", sa.Integer(), nullable=True),
        sa.Column("rating_undone_at", sa.String(), nullable=True),
        sa.Column("rating_problem", sa.String(), nullable=True),
        sa.CheckConstraint(
            "rating_owner in ('none', 'maclip', 'person')", name=op.f("photos_rating_owner_known")
        ),
        sa.CheckConstraint(
            "state in ('waiting', 'scored', 'failed', 'missing')", name=op.f("photos_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["folder_id"], ["folders.id"], name=op.f("photos_folder_id_folders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("photos_key")),
        sa.UniqueConstraint("folder_id", "file_name", name=op.f("photos_folder_id_file_name_unique")),
        sa.UniqueConstraint("id", "folder_id", name=op.f("photos_id_folder_id_unique")),
    )
    op.create_index("photos_inode", "photos", ["inode"], unique=False)
    op.create_index(
        "photos_pixel_hash",
        "photos",
        ["pixel_hash"],
        unique=False,
        sqlite_where=sa.text("pixel_hash IS NOT NULL"),
    )
    op.create_index(
        "photos_rating_problem",
        "photos",
        ["rating_problem"],
        unique=False,
        sqlite_where=sa.text("rating_problem IS NOT NULL"),
    )
    op.create_index(
        "photos_rating_owner",
        "photos",
        ["rating_owner"],
        unique=False,
        sqlite_where=sa.text("rating_owner <> 'none'"),
    )
    op.create_index(op.f("photos_state"), "photos", ["state"], unique=False)
    op.create_table(
        "quantiles",
        sa.Column("calibration_id", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("percentile", sa.Double(), nullable=False),
        sa.Column("slope", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["calibration_id"],
            ["calibrations.id"],
            name=op.f("quantiles_calibration_id_calibrations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("calibration_id", "score", name=op.f("quantiles_key")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("photo_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), server_default="ready", nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", sa.String(), nullable=False),
        sa.Column("lease_number", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.String(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("changed_at", sa.String(), nullable=False),
        sa.CheckConstraint("kind in ('score', 'rate')", name=op.f("jobs_kind_known")),
        sa.CheckConstraint("state in ('ready', 'leased', 'dead')", name=op.f("jobs_state_known")),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("jobs_photo_id_photos"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_key")),
        sa.UniqueConstraint("photo_id", "kind", name=op.f("jobs_photo_id_kind_unique")),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_kind_state_not_before", "jobs", ["kind", "state", "not_before"], unique=False)
    op.create_table(
        "rating_journal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("photo_id", sa.Integer(), nullable=True),
        sa.Column("target_path", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), server_default="intended", nullable=False),
        sa.Column("before_hash", sa.String(), nullable=True),
        sa.Column("after_hash", sa.String(), nullable=False),
        sa.Column("stars_before", sa.Integer(), nullable=True),
        sa.Column("stars_written", sa.Integer(), nullable=True),
        sa.Column("intended_at", sa.String(), nullable=False),
        sa.Column("settled_at", sa.String(), nullable=True),
        sa.Column("restore_data", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("kind in ('sidecar', 'embed')", name=op.f("rating_journal_kind_known")),
        sa.CheckConstraint(
            "state in ('intended', 'written', 'abandoned', 'undone')", name=op.f("rating_journal_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("rating_journal_photo_id_photos"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("rating_journal_key")),
    )
    op.create_index(
        "rating_journal_intended",
        "rating_journal",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state = 'intended'"),
    )
    op.create_index(op.f("rating_journal_photo_id"), "rating_journal", ["photo_id"], unique=False)
    op.create_index(op.f("rating_journal_target_path"), "rating_journal", ["target_path"], unique=False)
    op.create_table(
        "scores",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("photo_id", sa.Integer(), nullable=False),
        sa.Column("folder_id", sa.Integer(), nullable=False),
        sa.Column("scale_id", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("q_sim", sa.Double(), nullable=True),
        sa.Column("q_mag", sa.Double(), nullable=True),
        sa.Column("good", sa.Double(), nullable=True),
        sa.Column("sharpness", sa.Double(), nullable=True),
        sa.Column("edges", sa.Double(), nullable=True),
        sa.Column("resolution", sa.Double(), nullable=True),
        sa.Column("noise_free", sa.Double(), nullable=True),
        sa.Column("views", sa.Integer(), nullable=False),
        sa.Column("view_spread", sa.Double(), nullable=True),
        sa.Column("precision", sa.String(), nullable=True),
        sa.Column("device", sa.String(), nullable=True),
        sa.Column("scored_at", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.CheckConstraint("score BETWEEN -1e300 AND 1e300", name=op.f("scores_score_finite")),
        sa.ForeignKeyConstraint(
            ["photo_id", "folder_id"],
            ["photos.id", "photos.folder_id"],
            name=op.f("scores_photo_id_folder_id_photos"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["scale_id"], ["scales.id"], name=op.f("scores_scale_id_scales"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("scores_key")),
        sa.UniqueConstraint("photo_id", "scale_id", name=op.f("scores_photo_id_scale_id_unique")),
    )
    op.create_index(
        "scores_scale_id_folder_id_score", "scores", ["scale_id", "folder_id", "score"], unique=False
    )
    op.create_index("scores_scale_id_score", "scores", ["scale_id", "score"], unique=False)
