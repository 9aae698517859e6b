"""The views for people's SQL, `photo_quality` and `photo_failures`; docs/database.md describes each column.

They hold no data: every migration drops them first and creates them again at its end. The SQL that gives a
score its stars and percentile is here once, for the views, the rating queue and the rating stage.
"""

from __future__ import annotations

# A path with bytes that are not UTF-8 must come out as bytes: `||` alone would call them text.
_PATH = (
    "CASE WHEN typeof(f.path) = 'blob' OR typeof(p.file_name) = 'blob'"
    " THEN CAST(rtrim(f.path, '/') || '/' || p.file_name AS BLOB)"
    " ELSE rtrim(f.path, '/') || '/' || p.file_name END"
)

ACTIVE_CONFIG = "(SELECT id FROM scoring_configs WHERE active = 1)"

# Stars and percentile of a row of `scores s`, joined with RAW_AND_CALIBRATION; NULL without a calibration.
DECIDING_SCORE = "coalesce(raw.score, s.score)"  # a JPEG has the stars of the RAW of its shot
STARS = (
    f"1 + ({DECIDING_SCORE} >= c.two_stars_from) + ({DECIDING_SCORE} >= c.three_stars_from)"
    f" + ({DECIDING_SCORE} >= c.four_stars_from) + ({DECIDING_SCORE} >= c.five_stars_from)"
)
PERCENTILE = f"""CASE WHEN NOT EXISTS (SELECT 1 FROM quantiles WHERE calibration_id = c.id) THEN NULL
    ELSE coalesce(
      (SELECT q.percentile + q.slope * ({DECIDING_SCORE} - q.score) FROM quantiles q
        WHERE q.calibration_id = c.id AND q.score <= {DECIDING_SCORE} ORDER BY q.score DESC LIMIT 1),
      0.0) END"""
RAW_AND_CALIBRATION = f"""LEFT JOIN photo_pairs pair ON pair.photo_id = s.photo_id
LEFT JOIN scores raw ON raw.photo_id = pair.raw_id AND raw.scoring_config_id = s.scoring_config_id
LEFT JOIN calibrations c ON c.id = (
  SELECT id FROM calibrations WHERE scoring_config_id = {ACTIVE_CONFIG}
  ORDER BY number DESC LIMIT 1)"""

# The active configuration and the calibration are scalar subqueries. SQLite computes them once and takes the
# rows in the order of the index (scoring_config_id, score): `ORDER BY score LIMIT 50` reads 50 rows.
QUALITY_OF_SCORES = f"""
SELECT
  {_PATH} AS path,
  f.path AS folder,
  p.file_name AS file_name,
  s.score AS score,
  {PERCENTILE} AS percentile,
  {STARS} AS stars,
  s.q_sim AS q_sim,
  s.q_mag AS q_mag,
  s.good AS good,
  s.sharpness AS sharpness,
  s.edges AS edges,
  s.resolution AS resolution,
  s.noise_free AS noise_free,
  s.view_spread AS view_spread,
  m.metric AS metric,
  m.model AS model,
  m.protocol AS protocol,
  p.width AS width,
  p.height AS height,
  p.taken_at AS taken_at,
  s.scored_at AS scored_at,
  p.state AS state,
  p.rating_in_file AS rating_in_file,
  p.rating_owner AS rating_owner,
  CASE WHEN p.rating_owner = 'person' THEN coalesce(p.rating_in_file, 0) END AS my_stars,
  p.is_picked AS is_picked
FROM scores s
JOIN photos p ON p.id = s.photo_id
JOIN folders f ON f.id = s.folder_id
JOIN scoring_configs m ON m.id = s.scoring_config_id
{RAW_AND_CALIBRATION}
"""
QUALITY_ROWS = f"{QUALITY_OF_SCORES}WHERE s.scoring_config_id = {ACTIVE_CONFIG}"

FAILURE_ROWS = f"""
SELECT {_PATH} AS path, j.reason AS reason, j.attempts AS attempts, j.changed_at AS failed_at
FROM jobs j
JOIN photos p ON p.id = j.photo_id
JOIN folders f ON f.id = p.folder_id
WHERE j.state = 'dead' AND p.state <> 'missing'
"""

VIEWS = {
    "photo_quality": f"CREATE VIEW photo_quality AS {QUALITY_ROWS}",
    "photo_failures": f"CREATE VIEW photo_failures AS {FAILURE_ROWS}",
}
