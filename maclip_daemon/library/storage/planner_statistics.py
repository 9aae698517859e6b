"""What SQLite's planner should believe about the sizes of things, given to it instead of measured.

Without statistics SQLite expects ten rows in the active configuration; then people's queries over the whole
view read a million photos in the order of an index, all over the file (15 s instead of 3), and a folder's
photos are searched among all (6 s instead of 0.1). ANALYZE with a sample comes out no better, and without one
it stops the work. Programs may ship the table that ANALYZE would write: https://www.sqlite.org/optoverview.html
"""

from __future__ import annotations

# (table, index, "rows, then rows for each equal prefix of the index") of a library of a million photos in
# two thousand folders; for small ones any plan is fast.
STATISTICS = (
    ("scores", "scores_scoring_config_id_score", "1000000 1000000 1"),
    ("scores", "scores_scoring_config_id_folder_id_score", "1000000 1000000 500 1"),
    ("scores", "sqlite_autoindex_scores_1", "1000000 1 1"),
    ("photos", "sqlite_autoindex_photos_1", "1000000 500 1"),
    ("photos", "sqlite_autoindex_photos_2", "1000000 1 1"),
    ("photos", "photos_state", "1000000 250000"),
    ("photos", "photos_inode", "1000000 1"),
    ("photos", "photos_pixel_hash", "1000000 1"),
    ("folders", "sqlite_autoindex_folders_1", "2000 1"),
    ("folders", "folders_root_id", "2000 1000"),
    ("scoring_configs", "scoring_configs_one_active", "1 1"),
    ("scoring_configs", "sqlite_autoindex_scoring_configs_1", "2 2 2 1"),
    ("calibrations", "sqlite_autoindex_calibrations_1", "50 25 1"),
    ("quantiles", "quantiles", "50000 1000 1"),
)
