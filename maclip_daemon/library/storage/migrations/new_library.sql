CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
  );

CREATE TABLE notes (
  "key" VARCHAR NOT NULL,
  value JSON NOT NULL,
  changed_at VARCHAR NOT NULL,
  CONSTRAINT notes_key PRIMARY KEY ("key")
  );

CREATE TABLE roots (
  id INTEGER NOT NULL,
  path TEXT NOT NULL,
  state VARCHAR DEFAULT 'new' NOT NULL,
  reason VARCHAR,
  device BIGINT,
  file_system VARCHAR,
  added_at VARCHAR NOT NULL,
  scanned_at VARCHAR,
  CONSTRAINT roots_key PRIMARY KEY (id),
  CONSTRAINT roots_path_unique UNIQUE (path)
  );

CREATE TABLE "scoring_configs" (
  id INTEGER NOT NULL,
  metric VARCHAR NOT NULL,
  model VARCHAR NOT NULL,
  protocol VARCHAR NOT NULL,
  active BOOLEAN DEFAULT 0 NOT NULL,
  CONSTRAINT scales_key PRIMARY KEY (id),
  CONSTRAINT scales_metric_model_protocol_unique UNIQUE (metric, model, protocol)
  );

CREATE TABLE calibrations (
  id INTEGER NOT NULL,
  scoring_config_id INTEGER NOT NULL,
  number INTEGER NOT NULL,
  source VARCHAR NOT NULL,
  photo_count INTEGER NOT NULL,
  two_stars_from DOUBLE NOT NULL,
  three_stars_from DOUBLE NOT NULL,
  four_stars_from DOUBLE NOT NULL,
  five_stars_from DOUBLE NOT NULL,
  settings JSON NOT NULL,
  made_at VARCHAR NOT NULL,
  CONSTRAINT calibrations_key PRIMARY KEY (id),
  CONSTRAINT calibrations_source_known CHECK (source in ('library', 'reference', 'absolute')),
  CONSTRAINT calibrations_scale_id_scales FOREIGN KEY(scoring_config_id) REFERENCES "scoring_configs" (id) ON DELETE CASCADE,
  CONSTRAINT calibrations_scale_id_number_unique UNIQUE (scoring_config_id, number)
  );

CREATE TABLE folders (
  id INTEGER NOT NULL,
  root_id INTEGER NOT NULL,
  path TEXT NOT NULL,
  CONSTRAINT folders_key PRIMARY KEY (id),
  CONSTRAINT folders_root_id_roots FOREIGN KEY(root_id) REFERENCES roots (id) ON DELETE CASCADE,
  CONSTRAINT folders_path_unique UNIQUE (path)
  );

CREATE INDEX folders_root_id ON folders (root_id);

CREATE TABLE photos (
  id INTEGER NOT NULL,
  folder_id INTEGER NOT NULL,
  file_name TEXT NOT NULL,
  device BIGINT NOT NULL,
  inode BIGINT NOT NULL,
  size BIGINT NOT NULL,
  mtime_ns BIGINT NOT NULL,
  state VARCHAR DEFAULT 'waiting' NOT NULL,
  width INTEGER,
  height INTEGER,
  taken_at VARCHAR,
  pixel_hash VARCHAR,
  first_seen_at VARCHAR NOT NULL,
  missing_since VARCHAR,
  rating_in_file INTEGER,
  rating_owner VARCHAR DEFAULT 'none' NOT NULL,
  stars_written INTEGER,
  rating_undone_at VARCHAR,
  rating_problem VARCHAR, other_library VARCHAR, may_replace VARCHAR, ctime_ns BIGINT, rating_checked_at VARCHAR, is_picked BOOLEAN DEFAULT 0 NOT NULL, camera VARCHAR, lens VARCHAR, is_rating_due BOOLEAN DEFAULT 0 NOT NULL,
  CONSTRAINT photos_key PRIMARY KEY (id),
  CONSTRAINT photos_rating_owner_known CHECK (rating_owner in ('none', 'maclip', 'person')),
  CONSTRAINT photos_state_known CHECK (state in ('waiting', 'scored', 'failed', 'missing')),
  CONSTRAINT photos_folder_id_folders FOREIGN KEY(folder_id) REFERENCES folders (id) ON DELETE CASCADE,
  CONSTRAINT photos_folder_id_file_name_unique UNIQUE (folder_id, file_name),
  CONSTRAINT photos_id_folder_id_unique UNIQUE (id, folder_id)
  );

CREATE INDEX photos_inode ON photos (inode);

CREATE INDEX photos_pixel_hash ON photos (pixel_hash) WHERE pixel_hash IS NOT NULL;

CREATE INDEX photos_rating_problem ON photos (rating_problem) WHERE rating_problem IS NOT NULL;

CREATE INDEX photos_state ON photos (state);

CREATE TABLE quantiles (
  calibration_id INTEGER NOT NULL,
  score DOUBLE NOT NULL,
  percentile DOUBLE NOT NULL,
  slope DOUBLE NOT NULL,
  CONSTRAINT quantiles_key PRIMARY KEY (calibration_id, score),
  CONSTRAINT quantiles_calibration_id_calibrations FOREIGN KEY(calibration_id) REFERENCES calibrations (id) ON DELETE CASCADE
  )
  WITHOUT ROWID
  ;

CREATE TABLE jobs (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  photo_id INTEGER NOT NULL,
  kind VARCHAR NOT NULL,
  state VARCHAR DEFAULT 'ready' NOT NULL,
  generation INTEGER DEFAULT 1 NOT NULL,
  attempts INTEGER DEFAULT 0 NOT NULL,
  not_before VARCHAR NOT NULL,
  lease_number INTEGER DEFAULT 0 NOT NULL,
  lease_until VARCHAR,
  worker VARCHAR,
  reason VARCHAR,
  changed_at VARCHAR NOT NULL, priority INTEGER DEFAULT 0 NOT NULL, failure VARCHAR,
  CONSTRAINT jobs_kind_known CHECK (kind in ('score', 'rate')),
  CONSTRAINT jobs_state_known CHECK (state in ('ready', 'leased', 'dead')),
  CONSTRAINT jobs_photo_id_photos FOREIGN KEY(photo_id) REFERENCES photos (id) ON DELETE CASCADE,
  CONSTRAINT jobs_photo_id_kind_unique UNIQUE (photo_id, kind)
  );

CREATE TABLE rating_journal (
  id INTEGER NOT NULL,
  photo_id INTEGER,
  target_path TEXT NOT NULL,
  kind VARCHAR NOT NULL,
  state VARCHAR DEFAULT 'intended' NOT NULL,
  before_hash VARCHAR,
  after_hash VARCHAR NOT NULL,
  stars_before INTEGER,
  stars_written INTEGER,
  intended_at VARCHAR NOT NULL,
  settled_at VARCHAR,
  restore_data BLOB, origin_path TEXT, pixel_hash VARCHAR, adopted_from VARCHAR, former_stars INTEGER,
  CONSTRAINT rating_journal_key PRIMARY KEY (id),
  CONSTRAINT rating_journal_kind_known CHECK (kind in ('sidecar', 'embed')),
  CONSTRAINT rating_journal_state_known CHECK (state in ('intended', 'written', 'abandoned', 'undone')),
  CONSTRAINT rating_journal_photo_id_photos FOREIGN KEY(photo_id) REFERENCES photos (id) ON DELETE SET NULL
  );

CREATE INDEX rating_journal_intended ON rating_journal (state) WHERE state = 'intended';

CREATE INDEX rating_journal_photo_id ON rating_journal (photo_id);

CREATE INDEX rating_journal_target_path ON rating_journal (target_path);

CREATE TABLE scores (
  id INTEGER NOT NULL,
  photo_id INTEGER NOT NULL,
  folder_id INTEGER NOT NULL,
  scoring_config_id INTEGER NOT NULL,
  score DOUBLE NOT NULL,
  q_sim DOUBLE,
  q_mag DOUBLE,
  good DOUBLE,
  sharpness DOUBLE,
  edges DOUBLE,
  resolution DOUBLE,
  noise_free DOUBLE,
  views INTEGER NOT NULL,
  view_spread DOUBLE,
  precision VARCHAR,
  device VARCHAR,
  scored_at VARCHAR NOT NULL,
  details JSON, overall_score DOUBLE, detail_score DOUBLE,
  CONSTRAINT scores_key PRIMARY KEY (id),
  CONSTRAINT scores_score_finite CHECK (score BETWEEN -1e300 AND 1e300),
  CONSTRAINT scores_photo_id_folder_id_photos FOREIGN KEY(photo_id, folder_id) REFERENCES photos (id, folder_id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT scores_scale_id_scales FOREIGN KEY(scoring_config_id) REFERENCES "scoring_configs" (id) ON DELETE CASCADE,
  CONSTRAINT scores_photo_id_scale_id_unique UNIQUE (photo_id, scoring_config_id)
  );

CREATE TABLE photo_pairs (
  photo_id INTEGER NOT NULL,
  raw_id INTEGER NOT NULL,
  CONSTRAINT photo_pairs_key PRIMARY KEY (photo_id),
  CONSTRAINT photo_pairs_photo_id_photos FOREIGN KEY(photo_id) REFERENCES photos (id) ON DELETE CASCADE,
  CONSTRAINT photo_pairs_raw_id_photos FOREIGN KEY(raw_id) REFERENCES photos (id) ON DELETE CASCADE
  );

CREATE INDEX photo_pairs_raw_id ON photo_pairs (raw_id);

CREATE UNIQUE INDEX scoring_configs_one_active ON scoring_configs (active) WHERE active = 1;

CREATE INDEX scores_scoring_config_id_folder_id_score ON scores (scoring_config_id, folder_id, score);

CREATE INDEX rating_journal_pixel_hash ON rating_journal (pixel_hash) WHERE pixel_hash IS NOT NULL;

CREATE INDEX rating_journal_after_hash ON rating_journal (after_hash);

CREATE INDEX photos_other_library ON photos (other_library) WHERE other_library IS NOT NULL;

CREATE TABLE decisions (
  id INTEGER NOT NULL,
  photo_id INTEGER NOT NULL,
  review VARCHAR NOT NULL,
  press INTEGER NOT NULL,
  rating INTEGER,
  pick BOOLEAN,
  seen INTEGER,
  "before" JSON NOT NULL,
  state VARCHAR DEFAULT 'waiting' NOT NULL,
  reason VARCHAR,
  decided_at VARCHAR NOT NULL,
  settled_at VARCHAR,
  CONSTRAINT decisions_key PRIMARY KEY (id),
  CONSTRAINT decisions_state_known CHECK (state in ('waiting', 'written', 'refused', 'undone', 'replaced')),
  CONSTRAINT decisions_rating_known CHECK (rating BETWEEN -1 AND 5),
  CONSTRAINT decisions_photo_id_photos FOREIGN KEY(photo_id) REFERENCES photos (id) ON DELETE CASCADE
  );

CREATE INDEX decisions_photo_id ON decisions (photo_id);

CREATE INDEX decisions_press ON decisions (press);

CREATE INDEX decisions_waiting ON decisions (state) WHERE state = 'waiting';

CREATE TABLE decision_files (
  id INTEGER NOT NULL,
  decision_id INTEGER NOT NULL,
  target_path TEXT NOT NULL,
  before_hash VARCHAR,
  after_hash VARCHAR NOT NULL,
  restore_data BLOB NOT NULL,
  CONSTRAINT decision_files_key PRIMARY KEY (id),
  CONSTRAINT decision_files_decision_id_decisions FOREIGN KEY(decision_id) REFERENCES decisions (id) ON DELETE CASCADE
  );

CREATE INDEX decision_files_decision_id ON decision_files (decision_id);

CREATE TABLE bursts (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  kind VARCHAR NOT NULL,
  members INTEGER NOT NULL,
  best_id INTEGER,
  margin DOUBLE,
  spread DOUBLE,
  is_close BOOLEAN DEFAULT 0 NOT NULL,
  first_moment BIGINT NOT NULL,
  last_moment BIGINT NOT NULL,
  CONSTRAINT bursts_kind_known CHECK (kind in ('burst', 'bracket', 'panorama', 'focus stack', 'duplicate', 'time lapse')),
  CONSTRAINT bursts_best_id_photos FOREIGN KEY(best_id) REFERENCES photos (id) ON DELETE SET NULL
  );

CREATE INDEX bursts_best_id ON bursts (best_id);

CREATE INDEX bursts_first_moment ON bursts (first_moment);

CREATE TABLE burst_frames (
  photo_id INTEGER NOT NULL,
  series BIGINT NOT NULL,
  moment BIGINT NOT NULL,
  name_order VARCHAR NOT NULL,
  exposure_s DOUBLE,
  aperture DOUBLE,
  iso DOUBLE,
  bias_ev DOUBLE,
  focal_mm DOUBLE,
  is_bracketed BOOLEAN DEFAULT 0 NOT NULL,
  burst_id INTEGER,
  burst_rank INTEGER,
  is_stale BOOLEAN DEFAULT 1 NOT NULL,
  descriptor BLOB,
  CONSTRAINT burst_frames_key PRIMARY KEY (photo_id),
  CONSTRAINT burst_frames_burst_id_bursts FOREIGN KEY(burst_id) REFERENCES bursts (id) ON DELETE SET NULL,
  CONSTRAINT burst_frames_photo_id_photos FOREIGN KEY(photo_id) REFERENCES photos (id) ON DELETE CASCADE
  );

CREATE INDEX burst_frames_series_moment_name_order ON burst_frames (series, moment, name_order, photo_id);

CREATE INDEX burst_frames_burst_id_burst_rank ON burst_frames (burst_id, burst_rank);

CREATE INDEX burst_frames_stale ON burst_frames (photo_id) WHERE is_stale = 1;

CREATE INDEX jobs_kind_state_priority_not_before ON jobs (kind, state, priority, not_before);

CREATE TABLE measures (
  photo_id INTEGER NOT NULL,
  focus DOUBLE,
  motion DOUBLE,
  motion_direction DOUBLE,
  noise DOUBLE,
  clipped_highlights DOUBLE,
  clipped_shadows DOUBLE,
  contrast DOUBLE,
  jpeg_damage DOUBLE,
  true_megapixels DOUBLE,
  reasons VARCHAR,
  details JSON,
  CONSTRAINT measures_key PRIMARY KEY (photo_id),
  CONSTRAINT measures_photo_id_photos FOREIGN KEY(photo_id) REFERENCES photos (id) ON DELETE CASCADE
  );

CREATE INDEX photos_taken_at ON photos (taken_at) WHERE taken_at IS NOT NULL;

CREATE INDEX photos_camera ON photos (camera) WHERE camera IS NOT NULL;

CREATE INDEX photos_lens ON photos (lens) WHERE lens IS NOT NULL;

CREATE INDEX measures_reasons ON measures (reasons) WHERE reasons IS NOT NULL;

CREATE INDEX scores_scoring_config_id_score_photo_id ON scores (scoring_config_id, score, photo_id);

CREATE INDEX photos_rating_owner_rating_in_file ON photos (rating_owner, rating_in_file) WHERE rating_owner <> 'none';

CREATE INDEX photos_is_rating_due ON photos (is_rating_due) WHERE is_rating_due = 1;

INSERT INTO alembic_version (version_num) VALUES ('0015');
