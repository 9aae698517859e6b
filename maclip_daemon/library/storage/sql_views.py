"""The views for people's SQL; docs/database.md describes each column.

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
_OWN_STARS = (
    f"1 + ({DECIDING_SCORE} >= c.two_stars_from) + ({DECIDING_SCORE} >= c.three_stars_from)"
    f" + ({DECIDING_SCORE} >= c.four_stars_from) + ({DECIDING_SCORE} >= c.five_stars_from)"
)
# With `rating.bursts = "lift-best"`, which the library notes: the best frame of a burst gets one star more
# than the best of its fellows, unless it is too close to call. A scalar subquery: without the note nothing
# else is computed.
LIFTING = "rating.bursts"  # the note's key
_BEST_FELLOW = "max(coalesce(fellow_raw.score, fellow.score))"
_LIFTED_STARS = f"""(SELECT min(5, 2 + ({_BEST_FELLOW} >= c.two_stars_from)
        + ({_BEST_FELLOW} >= c.three_stars_from) + ({_BEST_FELLOW} >= c.four_stars_from)
        + ({_BEST_FELLOW} >= c.five_stars_from)) FROM burst_frames mine
      JOIN bursts group_of_mine ON group_of_mine.id = mine.burst_id AND group_of_mine.kind = 'burst'
        AND NOT group_of_mine.is_close
      JOIN burst_frames other ON other.burst_id = mine.burst_id AND other.burst_rank > 1
      JOIN photos there ON there.id = other.photo_id AND there.state <> 'missing'
      JOIN scores fellow ON fellow.photo_id = other.photo_id
        AND fellow.scoring_config_id = s.scoring_config_id
      LEFT JOIN photo_pairs fellow_pair ON fellow_pair.photo_id = other.photo_id
      LEFT JOIN scores fellow_raw ON fellow_raw.photo_id = fellow_pair.raw_id
        AND fellow_raw.scoring_config_id = s.scoring_config_id
      WHERE mine.photo_id = s.photo_id AND mine.burst_rank = 1)"""
_IS_LIFTING = f"""(SELECT value FROM notes WHERE key = '{LIFTING}') = '"lift-best"'"""
STARS = (
    f"(CASE WHEN {_IS_LIFTING} THEN max({_OWN_STARS}, coalesce({_LIFTED_STARS}, 1)) ELSE {_OWN_STARS} END)"
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
  p.is_picked AS is_picked,
  p.camera AS camera,
  p.lens AS lens,
  frame.burst_id AS burst_id,
  burst.kind AS burst_kind,
  frame.burst_rank AS burst_rank,
  CASE WHEN frame.burst_rank IS NULL THEN NULL ELSE frame.burst_rank = 1 END AS is_best_of_burst,
  s.overall_score AS overall_score,
  s.detail_score AS detail_score,
  q.focus AS focus,
  q.motion AS motion,
  q.motion_direction AS motion_direction,
  q.noise AS noise,
  q.clipped_highlights AS clipped_highlights,
  q.clipped_shadows AS clipped_shadows,
  q.contrast AS contrast,
  q.jpeg_damage AS jpeg_damage,
  q.true_megapixels AS true_megapixels,
  q.reasons AS reasons
FROM scores s
JOIN photos p ON p.id = s.photo_id
JOIN folders f ON f.id = s.folder_id
JOIN scoring_configs m ON m.id = s.scoring_config_id
LEFT JOIN burst_frames frame ON frame.photo_id = s.photo_id
LEFT JOIN bursts burst ON burst.id = frame.burst_id
LEFT JOIN measures q ON q.photo_id = s.photo_id
{RAW_AND_CALIBRATION}
"""
QUALITY_ROWS = f"{QUALITY_OF_SCORES}WHERE s.scoring_config_id = {ACTIVE_CONFIG}"

FAILURE_ROWS = f"""
SELECT {_PATH} AS path, j.reason AS reason, j.attempts AS attempts, j.changed_at AS failed_at,
  coalesce(j.failure, 'other') AS kind
FROM jobs j
JOIN photos p ON p.id = j.photo_id
JOIN folders f ON f.id = p.folder_id
WHERE j.state = 'dead' AND p.state <> 'missing'
"""

# By the camera's clock, as photos.taken_at; of photos without a date the time of the file.
_TAKEN = (
    "coalesce((SELECT {end}(member.taken_at) FROM burst_frames m JOIN photos member ON member.id = m.photo_id"
    " WHERE m.burst_id = b.id), strftime('%Y-%m-%dT%H:%M:%S', b.{moment} / 1000000, 'unixepoch'))"
)
FIRST_AT = _TAKEN.format(end="min", moment="first_moment")
LAST_AT = _TAKEN.format(end="max", moment="last_moment")
BURST_ROWS = f"""
SELECT
  b.id AS burst_id,
  b.kind AS kind,
  b.members AS members,
  CASE WHEN p.id IS NULL THEN NULL ELSE {_PATH} END AS best,
  b.margin AS margin,
  b.is_close AS too_close_to_call,
  {FIRST_AT} AS first_at,
  {LAST_AT} AS last_at
FROM bursts b
LEFT JOIN photos p ON p.id = b.best_id
LEFT JOIN folders f ON f.id = p.folder_id
"""

VIEWS = {
    "photo_quality": f"CREATE VIEW photo_quality AS {QUALITY_ROWS}",
    "photo_bursts": f"CREATE VIEW photo_bursts AS {BURST_ROWS}",
    "photo_failures": f"CREATE VIEW photo_failures AS {FAILURE_ROWS}",
}
