BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE calibrations (
	id INTEGER NOT NULL, 
	scale_id INTEGER NOT NULL, 
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
	CONSTRAINT calibrations_scale_id_scales FOREIGN KEY(scale_id) REFERENCES scales (id) ON DELETE CASCADE, 
	CONSTRAINT calibrations_scale_id_number_unique UNIQUE (scale_id, number)
);
INSERT INTO "calibrations" VALUES(1,2,1,'library',32,0.32,0.36,0.44,0.5,'[10.0, 20.0, 40.0, 20.0, 10.0]','2026-05-28T20:26:40.000Z');
INSERT INTO "calibrations" VALUES(2,2,2,'absolute',32,0.35,0.4,0.45,0.5,'[0.35, 0.4, 0.45, 0.5]','2026-05-28T20:26:40.000Z');
CREATE TABLE folders (
	id INTEGER NOT NULL, 
	root_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	CONSTRAINT folders_key PRIMARY KEY (id), 
	CONSTRAINT folders_root_id_roots FOREIGN KEY(root_id) REFERENCES roots (id) ON DELETE CASCADE, 
	CONSTRAINT folders_path_unique UNIQUE (path)
);
INSERT INTO "folders" VALUES(1,1,'/photos/b');
INSERT INTO "folders" VALUES(2,1,'/photos/a');
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
	changed_at VARCHAR NOT NULL, 
	CONSTRAINT jobs_kind_known CHECK (kind in ('score', 'rate')), 
	CONSTRAINT jobs_state_known CHECK (state in ('ready', 'leased', 'dead')), 
	CONSTRAINT jobs_photo_id_photos FOREIGN KEY(photo_id) REFERENCES photos (id) ON DELETE CASCADE, 
	CONSTRAINT jobs_photo_id_kind_unique UNIQUE (photo_id, kind)
);
INSERT INTO "jobs" VALUES(1,34,'score','dead',1,1,'2026-05-28T20:26:40.000Z',1,NULL,NULL,'cut short','2026-05-28T20:26:40.000Z');
INSERT INTO "jobs" VALUES(2,2,'rate','ready',1,0,'2026-05-28T20:26:40.000Z',0,NULL,NULL,NULL,'2026-05-28T20:26:40.000Z');
CREATE TABLE notes (
	"key" VARCHAR NOT NULL, 
	value JSON NOT NULL, 
	changed_at VARCHAR NOT NULL, 
	CONSTRAINT notes_key PRIMARY KEY ("key")
);
INSERT INTO "notes" VALUES('state','{"running": false}','2026-05-28T20:26:40.000Z');
CREATE TABLE photo_pairs (
	photo_id INTEGER NOT NULL, 
	raw_id INTEGER NOT NULL, 
	CONSTRAINT photo_pairs_key PRIMARY KEY (photo_id), 
	CONSTRAINT photo_pairs_photo_id_photos FOREIGN KEY(photo_id) REFERENCES photos (id) ON DELETE CASCADE, 
	CONSTRAINT photo_pairs_raw_id_photos FOREIGN KEY(raw_id) REFERENCES photos (id) ON DELETE CASCADE
);
INSERT INTO "photo_pairs" VALUES(4,31);
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
	rating_problem VARCHAR, 
	CONSTRAINT photos_key PRIMARY KEY (id), 
	CONSTRAINT photos_rating_owner_known CHECK (rating_owner in ('none', 'maclip', 'person')), 
	CONSTRAINT photos_state_known CHECK (state in ('waiting', 'scored', 'failed', 'missing')), 
	CONSTRAINT photos_folder_id_folders FOREIGN KEY(folder_id) REFERENCES folders (id) ON DELETE CASCADE, 
	CONSTRAINT photos_folder_id_file_name_unique UNIQUE (folder_id, file_name), 
	CONSTRAINT photos_id_folder_id_unique UNIQUE (id, folder_id)
);
INSERT INTO "photos" VALUES(1,1,'IMG_0.jpg',3,100,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:00:00','hash 0','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(2,2,'IMG_1.jpg',3,101,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:01:00','hash 1','2026-05-28T20:26:40.000Z',NULL,4,'maclip',4,NULL,NULL);
INSERT INTO "photos" VALUES(3,1,'IMG_2.jpg',3,102,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:02:00','hash 2','2026-05-28T20:26:40.000Z',NULL,5,'person',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(4,2,'IMG_3.jpg',3,103,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:03:00','hash 3','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(5,1,'IMG_4.jpg',3,104,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:04:00','hash 4','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(6,2,'IMG_5.jpg',3,105,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:05:00','hash 5','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(7,1,'IMG_6.jpg',3,106,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:06:00','hash 6','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(8,2,'IMG_7.jpg',3,107,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:07:00','hash 7','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(9,1,'IMG_8.jpg',3,108,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:08:00','hash 8','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(10,2,'IMG_9.jpg',3,109,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:09:00','hash 9','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(11,1,'IMG_10.jpg',3,110,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:10:00','hash 10','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(12,2,'IMG_11.jpg',3,111,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:11:00','hash 11','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(13,1,'IMG_12.jpg',3,112,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:12:00','hash 12','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(14,2,'IMG_13.jpg',3,113,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:13:00','hash 13','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(15,1,'IMG_14.jpg',3,114,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:14:00','hash 14','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(16,2,'IMG_15.jpg',3,115,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:15:00','hash 15','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(17,1,'IMG_16.jpg',3,116,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:16:00','hash 16','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(18,2,'IMG_17.jpg',3,117,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:17:00','hash 17','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(19,1,'IMG_18.jpg',3,118,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:18:00','hash 18','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(20,2,'IMG_19.jpg',3,119,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:19:00','hash 19','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(21,1,'IMG_20.jpg',3,120,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:20:00','hash 20','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(22,2,'IMG_21.jpg',3,121,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:21:00','hash 21','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(23,1,'IMG_22.jpg',3,122,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:22:00','hash 22','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(24,2,'IMG_23.jpg',3,123,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:23:00','hash 23','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(25,1,'IMG_24.jpg',3,124,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:24:00','hash 24','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(26,2,'IMG_25.jpg',3,125,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:25:00','hash 25','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(27,1,'IMG_26.jpg',3,126,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:26:00','hash 26','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(28,2,'IMG_27.jpg',3,127,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:27:00','hash 27','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(29,1,'IMG_28.jpg',3,128,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:28:00','hash 28','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(30,2,'IMG_29.jpg',3,129,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:29:00','hash 29','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(31,2,'IMG_3.CR3',3,130,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:30:00','hash 30','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(32,2,X'636166E92E6A7067',3,131,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:31:00','hash 31','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(33,1,'Jürgen.jpg',3,132,1000,1000000000000000000,'scored',6000,4000,'2026-05-01T10:32:00','hash 32','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
INSERT INTO "photos" VALUES(34,2,'lost.jpg',3,133,1000,1000000000000000000,'failed',6000,4000,'2026-05-01T10:33:00','hash 33','2026-05-28T20:26:40.000Z',NULL,NULL,'none',NULL,NULL,NULL);
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
INSERT INTO "quantiles" VALUES(1,0.3,4.6875,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(1,0.32,14.0625,4.68750000000000909515e+02);
INSERT INTO "quantiles" VALUES(1,3.39999999999999968913e-01,23.4375,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(1,0.36,32.8125,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(1,0.38,42.1875,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(1,0.4,51.5625,4.68750000000000909515e+02);
INSERT INTO "quantiles" VALUES(1,0.42,60.9375,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(1,0.44,70.3125,4.68750000000000909515e+02);
INSERT INTO "quantiles" VALUES(1,4.59999999999999964472e-01,79.6875,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(1,0.48,89.0625,3.90624999999999658936e+02);
INSERT INTO "quantiles" VALUES(1,0.5,96.875,0.0);
INSERT INTO "quantiles" VALUES(1,5.00000000000000111022e-01,100.0,0.0);
INSERT INTO "quantiles" VALUES(2,0.3,4.6875,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(2,0.32,14.0625,4.68750000000000909515e+02);
INSERT INTO "quantiles" VALUES(2,3.39999999999999968913e-01,23.4375,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(2,0.36,32.8125,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(2,0.38,42.1875,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(2,0.4,51.5625,4.68750000000000909515e+02);
INSERT INTO "quantiles" VALUES(2,0.42,60.9375,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(2,0.44,70.3125,4.68750000000000909515e+02);
INSERT INTO "quantiles" VALUES(2,4.59999999999999964472e-01,79.6875,4.68749999999999602097e+02);
INSERT INTO "quantiles" VALUES(2,0.48,89.0625,3.90624999999999658936e+02);
INSERT INTO "quantiles" VALUES(2,0.5,96.875,0.0);
INSERT INTO "quantiles" VALUES(2,5.00000000000000111022e-01,100.0,0.0);
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
	restore_data BLOB, origin_path TEXT, 
	CONSTRAINT rating_journal_key PRIMARY KEY (id), 
	CONSTRAINT rating_journal_kind_known CHECK (kind in ('sidecar', 'embed')), 
	CONSTRAINT rating_journal_state_known CHECK (state in ('intended', 'written', 'abandoned', 'undone')), 
	CONSTRAINT rating_journal_photo_id_photos FOREIGN KEY(photo_id) REFERENCES photos (id) ON DELETE SET NULL
);
INSERT INTO "rating_journal" VALUES(1,2,'/photos/a/IMG_1.jpg.xmp','sidecar','written',NULL,'f00',NULL,4,'2026-05-28T20:26:40.000Z','2026-05-28T20:26:40.000Z',X'7B7D',NULL);
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
INSERT INTO "roots" VALUES(1,'/photos','new',NULL,NULL,NULL,'2026-05-28T20:26:40.000Z',NULL);
CREATE TABLE scales (
	id INTEGER NOT NULL, 
	metric VARCHAR NOT NULL, 
	model VARCHAR NOT NULL, 
	protocol VARCHAR NOT NULL, 
	active BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT scales_key PRIMARY KEY (id), 
	CONSTRAINT scales_metric_model_protocol_unique UNIQUE (metric, model, protocol)
);
INSERT INTO "scales" VALUES(1,'clipiqa','builtin','native',0);
INSERT INTO "scales" VALUES(2,'maclip','builtin@1','spaq448',1);
CREATE TABLE scores (
	id INTEGER NOT NULL, 
	photo_id INTEGER NOT NULL, 
	folder_id INTEGER NOT NULL, 
	scale_id INTEGER NOT NULL, 
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
	details JSON, 
	CONSTRAINT scores_key PRIMARY KEY (id), 
	CONSTRAINT scores_score_finite CHECK (score BETWEEN -1e300 AND 1e300), 
	CONSTRAINT scores_photo_id_folder_id_photos FOREIGN KEY(photo_id, folder_id) REFERENCES photos (id, folder_id) ON DELETE CASCADE ON UPDATE CASCADE, 
	CONSTRAINT scores_scale_id_scales FOREIGN KEY(scale_id) REFERENCES scales (id) ON DELETE CASCADE, 
	CONSTRAINT scores_photo_id_scale_id_unique UNIQUE (photo_id, scale_id)
);
INSERT INTO "scores" VALUES(1,1,1,2,0.3,0.5,0.25,0.1,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:40.000Z','{"views": [0]}');
INSERT INTO "scores" VALUES(2,1,1,1,0.9,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,'2026-05-28T20:26:40.000Z','{}');
INSERT INTO "scores" VALUES(3,2,2,2,0.44,0.5,0.25,0.11,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:41.000Z','{"views": [1]}');
INSERT INTO "scores" VALUES(4,3,1,2,0.36,0.5,0.25,1.20000000000000009436e-01,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:42.000Z','{"views": [2]}');
INSERT INTO "scores" VALUES(5,4,2,2,0.5,0.5,0.25,0.13,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:43.000Z','{"views": [3]}');
INSERT INTO "scores" VALUES(6,5,1,2,0.42,0.5,0.25,0.14,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:44.000Z','{"views": [4]}');
INSERT INTO "scores" VALUES(7,6,2,2,3.39999999999999968913e-01,0.5,0.25,1.50000000000000022204e-01,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:45.000Z','{"views": [5]}');
INSERT INTO "scores" VALUES(8,6,2,1,0.9,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,'2026-05-28T20:26:40.000Z','{}');
INSERT INTO "scores" VALUES(9,7,1,2,0.48,0.5,0.25,0.16,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:46.000Z','{"views": [6]}');
INSERT INTO "scores" VALUES(10,8,2,2,0.4,0.5,0.25,0.17,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:47.000Z','{"views": [7]}');
INSERT INTO "scores" VALUES(11,9,1,2,0.32,0.5,0.25,0.18,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:48.000Z','{"views": [8]}');
INSERT INTO "scores" VALUES(12,10,2,2,4.59999999999999964472e-01,0.5,0.25,0.19,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:49.000Z','{"views": [9]}');
INSERT INTO "scores" VALUES(13,11,1,2,0.38,0.5,0.25,0.2,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:50.000Z','{"views": [10]}');
INSERT INTO "scores" VALUES(14,11,1,1,0.9,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,'2026-05-28T20:26:40.000Z','{}');
INSERT INTO "scores" VALUES(15,12,2,2,0.3,0.5,0.25,2.10000000000000019984e-01,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:51.000Z','{"views": [11]}');
INSERT INTO "scores" VALUES(16,13,1,2,0.44,0.5,0.25,0.22,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:52.000Z','{"views": [12]}');
INSERT INTO "scores" VALUES(17,14,2,2,0.36,0.5,0.25,0.23,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:53.000Z','{"views": [13]}');
INSERT INTO "scores" VALUES(18,15,1,2,0.5,0.5,0.25,2.40000000000000018873e-01,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:54.000Z','{"views": [14]}');
INSERT INTO "scores" VALUES(19,16,2,2,0.42,0.5,0.25,0.25,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:55.000Z','{"views": [15]}');
INSERT INTO "scores" VALUES(20,16,2,1,0.9,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,'2026-05-28T20:26:40.000Z','{}');
INSERT INTO "scores" VALUES(21,17,1,2,3.39999999999999968913e-01,0.5,0.25,0.26,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:56.000Z','{"views": [16]}');
INSERT INTO "scores" VALUES(22,18,2,2,0.48,0.5,0.25,0.27,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:57.000Z','{"views": [17]}');
INSERT INTO "scores" VALUES(23,19,1,2,0.4,0.5,0.25,0.28,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:58.000Z','{"views": [18]}');
INSERT INTO "scores" VALUES(24,20,2,2,0.32,0.5,0.25,2.90000000000000035527e-01,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:26:59.000Z','{"views": [19]}');
INSERT INTO "scores" VALUES(25,21,1,2,4.59999999999999964472e-01,0.5,0.25,3.00000000000000044408e-01,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:00.000Z','{"views": [20]}');
INSERT INTO "scores" VALUES(26,21,1,1,0.9,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,'2026-05-28T20:26:40.000Z','{}');
INSERT INTO "scores" VALUES(27,22,2,2,0.38,0.5,0.25,0.31,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:01.000Z','{"views": [21]}');
INSERT INTO "scores" VALUES(28,23,1,2,0.3,0.5,0.25,0.32,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:02.000Z','{"views": [22]}');
INSERT INTO "scores" VALUES(29,24,2,2,0.44,0.5,0.25,0.33,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:03.000Z','{"views": [23]}');
INSERT INTO "scores" VALUES(30,25,1,2,0.36,0.5,0.25,3.39999999999999968913e-01,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:04.000Z','{"views": [24]}');
INSERT INTO "scores" VALUES(31,26,2,2,0.5,0.5,0.25,0.35,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:05.000Z','{"views": [25]}');
INSERT INTO "scores" VALUES(32,26,2,1,0.9,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,'2026-05-28T20:26:40.000Z','{}');
INSERT INTO "scores" VALUES(33,27,1,2,0.42,0.5,0.25,0.36,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:06.000Z','{"views": [26]}');
INSERT INTO "scores" VALUES(34,28,2,2,3.39999999999999968913e-01,0.5,0.25,0.37,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:07.000Z','{"views": [27]}');
INSERT INTO "scores" VALUES(35,29,1,2,0.48,0.5,0.25,0.38,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:08.000Z','{"views": [28]}');
INSERT INTO "scores" VALUES(36,30,2,2,0.4,0.5,0.25,0.39,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:09.000Z','{"views": [29]}');
INSERT INTO "scores" VALUES(37,31,2,2,0.32,0.5,0.25,0.4,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:10.000Z','{"views": [30]}');
INSERT INTO "scores" VALUES(38,31,2,1,0.9,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,'2026-05-28T20:26:40.000Z','{}');
INSERT INTO "scores" VALUES(39,32,2,2,4.59999999999999964472e-01,0.5,0.25,4.10000000000000031086e-01,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:11.000Z','{"views": [31]}');
INSERT INTO "scores" VALUES(40,33,1,2,0.38,0.5,0.25,4.20000000000000039968e-01,0.4,0.5,0.6,0.7,5,0.01,'fp32','cpu','2026-05-28T20:27:12.000Z','{"views": [32]}');
ANALYZE "sqlite_master";
INSERT INTO "sqlite_stat1" VALUES('scores','scores_scale_id_score','1000000 1000000 1');
INSERT INTO "sqlite_stat1" VALUES('scores','scores_scale_id_folder_id_score','1000000 1000000 500 1');
INSERT INTO "sqlite_stat1" VALUES('scores','sqlite_autoindex_scores_1','1000000 1 1');
INSERT INTO "sqlite_stat1" VALUES('photos','sqlite_autoindex_photos_1','1000000 500 1');
INSERT INTO "sqlite_stat1" VALUES('photos','sqlite_autoindex_photos_2','1000000 1 1');
INSERT INTO "sqlite_stat1" VALUES('photos','photos_state','1000000 250000');
INSERT INTO "sqlite_stat1" VALUES('photos','photos_inode','1000000 1');
INSERT INTO "sqlite_stat1" VALUES('photos','photos_pixel_hash','1000000 1');
INSERT INTO "sqlite_stat1" VALUES('folders','sqlite_autoindex_folders_1','2000 1');
INSERT INTO "sqlite_stat1" VALUES('folders','folders_root_id','2000 1000');
INSERT INTO "sqlite_stat1" VALUES('scales','scales_one_active','1 1');
INSERT INTO "sqlite_stat1" VALUES('scales','sqlite_autoindex_scales_1','2 2 2 1');
INSERT INTO "sqlite_stat1" VALUES('calibrations','sqlite_autoindex_calibrations_1','50 25 1');
INSERT INTO "sqlite_stat1" VALUES('quantiles','quantiles','50000 1000 1');
CREATE UNIQUE INDEX scales_one_active ON scales (active) WHERE active = 1;
CREATE INDEX folders_root_id ON folders (root_id);
CREATE INDEX photos_inode ON photos (inode);
CREATE INDEX photos_pixel_hash ON photos (pixel_hash) WHERE pixel_hash IS NOT NULL;
CREATE INDEX photos_rating_problem ON photos (rating_problem) WHERE rating_problem IS NOT NULL;
CREATE INDEX photos_rating_owner ON photos (rating_owner) WHERE rating_owner <> 'none';
CREATE INDEX photos_state ON photos (state);
CREATE INDEX jobs_kind_state_not_before ON jobs (kind, state, not_before);
CREATE INDEX rating_journal_intended ON rating_journal (state) WHERE state = 'intended';
CREATE INDEX rating_journal_photo_id ON rating_journal (photo_id);
CREATE INDEX rating_journal_target_path ON rating_journal (target_path);
CREATE INDEX scores_scale_id_folder_id_score ON scores (scale_id, folder_id, score);
CREATE INDEX scores_scale_id_score ON scores (scale_id, score);
CREATE INDEX photo_pairs_raw_id ON photo_pairs (raw_id);
CREATE VIEW photo_quality AS 
SELECT
  CASE WHEN typeof(f.path) = 'blob' OR typeof(p.file_name) = 'blob' THEN CAST(rtrim(f.path, '/') || '/' || p.file_name AS BLOB) ELSE rtrim(f.path, '/') || '/' || p.file_name END AS path,
  f.path AS folder,
  p.file_name AS file_name,
  s.score AS score,
  CASE WHEN c.id IS NULL OR NOT EXISTS (SELECT 1 FROM quantiles WHERE calibration_id = c.id) THEN NULL
    ELSE coalesce(
      (SELECT q.percentile + q.slope * (coalesce(raw.score, s.score) - q.score) FROM quantiles q
        WHERE q.calibration_id = c.id AND q.score <= coalesce(raw.score, s.score) ORDER BY q.score DESC LIMIT 1), 0.0) END
    AS percentile,
  CASE WHEN c.id IS NULL THEN NULL
    ELSE 1 + (coalesce(raw.score, s.score) >= c.two_stars_from) + (coalesce(raw.score, s.score) >= c.three_stars_from)
      + (coalesce(raw.score, s.score) >= c.four_stars_from) + (coalesce(raw.score, s.score) >= c.five_stars_from) END AS stars,
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
JOIN scales m ON m.id = s.scale_id
LEFT JOIN photo_pairs pair ON pair.photo_id = s.photo_id
LEFT JOIN scores raw ON raw.photo_id = pair.raw_id AND raw.scale_id = s.scale_id
LEFT JOIN calibrations c ON c.id = (
  SELECT id FROM calibrations WHERE scale_id = (SELECT id FROM scales WHERE active = 1)
  ORDER BY number DESC LIMIT 1)
WHERE s.scale_id = (SELECT id FROM scales WHERE active = 1);
CREATE VIEW photo_failures AS 
SELECT CASE WHEN typeof(f.path) = 'blob' OR typeof(p.file_name) = 'blob' THEN CAST(rtrim(f.path, '/') || '/' || p.file_name AS BLOB) ELSE rtrim(f.path, '/') || '/' || p.file_name END AS path, j.reason AS reason, j.attempts AS attempts, j.changed_at AS failed_at
FROM jobs j
JOIN photos p ON p.id = j.photo_id
JOIN folders f ON f.id = p.folder_id
WHERE j.state = 'dead' AND p.state <> 'missing';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',2);
COMMIT;
