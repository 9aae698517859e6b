"""The views for people's SQL, `photo_quality` and `photo_failures`; docs/database.md describes each column.

They hold no data: every migration drops them first and creates them again at its end.
"""

from __future__ import annotations

# A path with bytes that are not UTF-8 must come out as bytes: `||` alone would call them text.
_PATH = (
    "CASE WHEN typeof(f.path) = 'blob' OR typeof(p.file_name) = 'blob'"
    " THEN CAST(rtrim(f.path, '/') || '/' || p.file_name AS BLOB)"
    " ELSE rtrim(f.path, '/') || '/' || p.file_name END"
)

_DECIDING = "coalesce(raw.score, s.score)"  # percentile and stars of a JPEG come from the RAW of its shot

# The active configuration and the calibration are scalar subqueries. SQLite computes them once and takes the
# rows in the order of the index (scoring_config_id, score): `ORDER BY score LIMIT 50` reads 50 rows.
QUALITY_OF_SCORES = f"""
SELECT
  {_PATH} AS path,
  f.path AS folder,
  p.file_name AS file_name,
  s.score AS score,
  CASE WHEN c.id IS NULL OR NOT EXISTS (SELECT 1 FROM quantiles WHERE calibration_id = c.id) THEN NULL
    ELSE coalesce(
      (SELECT q.percentile + q.slope * ({_DECIDING} - q.score) FROM quantiles q
        WHERE q.calibration_id = c.id AND q.score <= {_DECIDING} ORDER BY q.score DESC LIMIT 1), 0.0) END
    AS percentile,
  CASE WHEN c.id IS NULL THEN NULL
    ELSE 1 + ({_DECIDING} >= c.two_stars_from) + ({_DECIDING} >= c.three_stars_from)
      + ({_DECIDING} >= c.four_stars_from) + ({_DECIDING} >= c.five_stars_from) END AS stars,
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
  p.rating_owner AS rating_owner
FROM scores s
JOIN photos p ON p.id = s.photo_id
JOIN folders f ON f.id = s.folder_id
JOIN scoring_configs m ON m.id = s.scoring_config_id
LEFT JOIN photo_pairs pair ON pair.photo_id = s.photo_id
LEFT JOIN scores raw ON raw.photo_id = pair.raw_id AND raw.scoring_config_id = s.scoring_config_id
LEFT JOIN calibrations c ON c.id = (
  SELECT id FROM calibrations WHERE scoring_config_id = (SELECT id FROM scoring_configs WHERE active = 1)
  ORDER BY number DESC LIMIT 1)
"""
QUALITY_ROWS = (
    f"{QUALITY_OF_SCORES}WHERE s.scoring_config_id = (SELECT id FROM scoring_configs WHERE active = 1)"
)

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
