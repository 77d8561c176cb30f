-- An experience as schema 0001 kept it: 3 tasks, 4 runs, 15 trials. Never change it: it stands for files out there.
BEGIN TRANSACTION;
CREATE TABLE gstar_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT gstar_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "gstar_schema" VALUES('0001');
CREATE TABLE runs (
	id INTEGER NOT NULL, 
	uuid VARCHAR(32) NOT NULL, 
	task INTEGER NOT NULL, 
	settings TEXT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	score FLOAT, 
	seconds FLOAT, 
	summary TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (uuid), 
	FOREIGN KEY(task) REFERENCES tasks (id)
);
INSERT INTO "runs" VALUES(1,'3438d489cb884dd087166c01aff759da',1,'{"seed":0}','completed',0.9,1.5,'{"stop_reason":"done"}','',1.7954791601207377911e+09);
INSERT INTO "runs" VALUES(2,'72d4bc2e99864f909fa15228efb4f7fe',2,'{"seed":0}','completed',0.9,1.5,'{"stop_reason":"done"}','',1.7954791601339077949e+09);
INSERT INTO "runs" VALUES(3,'64e97b41508f45c4a2abc8d2c16deae0',3,'{"seed":0}','completed',0.9,1.5,'{"stop_reason":"done"}','',1.79547916014175844194e+09);
INSERT INTO "runs" VALUES(4,'91bea83af8124757988368bbb8d09271',1,'{"seed":0}','running',NULL,NULL,'{}','elsewhere:1:1',1.79547916014894270901e+09);
CREATE TABLE strategies (
	id INTEGER NOT NULL, 
	hash VARCHAR(16) NOT NULL, 
	learner TEXT NOT NULL, 
	json TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (hash)
);
INSERT INTO "strategies" VALUES(1,'a6eef01274c640fb','random_forest','{"configuration":{"strength":0.0},"learner":"random_forest","schedule":{},"selection":{"kind":"all"}}');
INSERT INTO "strategies" VALUES(2,'2eb3323e82520128','linear','{"configuration":{"strength":1.0},"learner":"linear","schedule":{},"selection":{"kind":"all"}}');
INSERT INTO "strategies" VALUES(3,'a16e615203f59037','random_forest','{"configuration":{"strength":2.0},"learner":"random_forest","schedule":{},"selection":{"kind":"all"}}');
INSERT INTO "strategies" VALUES(4,'2e5da6b2df464950','linear','{"configuration":{"strength":3.0},"learner":"linear","schedule":{},"selection":{"kind":"all"}}');
CREATE TABLE tasks (
	id INTEGER NOT NULL, 
	fingerprint VARCHAR(32) NOT NULL, 
	name TEXT NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	form VARCHAR(16) NOT NULL, 
	metric TEXT NOT NULL, 
	n_rows BIGINT NOT NULL, 
	n_features BIGINT NOT NULL, 
	n_classes BIGINT NOT NULL, 
	meta_features BLOB NOT NULL, 
	family TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (fingerprint)
);
INSERT INTO "tasks" VALUES(1,'72f6c9d7c57660bfb21c61b89253fddd','toy 0','binary','table','roc_auc',6,2,2,X'0000000000000000000000000000F03F000000000000004000000000000008400000000000001040','',1.79547916011496400826e+09);
INSERT INTO "tasks" VALUES(2,'f5c3d43eeeb99d6ca20336dd4b5c7251','toy 1','binary','table','roc_auc',6,2,2,X'0000000000000000000000000000F03F000000000000004000000000000008400000000000001040','',1.79547916013165640833e+09);
INSERT INTO "tasks" VALUES(3,'31956cdba065b7532607b92c895a6c21','toy 2','binary','table','roc_auc',6,2,2,X'0000000000000000000000000000F03F000000000000004000000000000008400000000000001040','',1.79547916013969230649e+09);
CREATE TABLE trials (
	id INTEGER NOT NULL, 
	task INTEGER NOT NULL, 
	strategy INTEGER NOT NULL, 
	run INTEGER NOT NULL, 
	number BIGINT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	score FLOAT, 
	query_score FLOAT, 
	cost_s FLOAT NOT NULL, 
	cost_steps BIGINT NOT NULL, 
	memory_mb FLOAT NOT NULL, 
	fidelity TEXT NOT NULL, 
	folds BIGINT NOT NULL, 
	seed BIGINT NOT NULL, 
	metric TEXT NOT NULL, 
	error TEXT NOT NULL, 
	log_prob FLOAT, 
	policy TEXT NOT NULL, 
	policy_version TEXT NOT NULL, 
	versions TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT trials_run_number UNIQUE (run, number), 
	FOREIGN KEY(task) REFERENCES tasks (id), 
	FOREIGN KEY(strategy) REFERENCES strategies (id), 
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "trials" VALUES(1,1,1,1,0,'completed',0.5,NULL,5.0,10,100.0,'5-fold',5,0,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916012278223037e+09);
INSERT INTO "trials" VALUES(2,1,2,1,1,'completed',0.515625,NULL,5.0,10,100.0,'5-fold',5,1,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916012278223037e+09);
INSERT INTO "trials" VALUES(3,1,3,1,2,'completed',0.53125,NULL,5.0,10,100.0,'5-fold',5,2,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916012278223037e+09);
INSERT INTO "trials" VALUES(4,1,4,1,3,'completed',0.546875,NULL,5.0,10,100.0,'5-fold',5,3,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916012278223037e+09);
INSERT INTO "trials" VALUES(5,2,1,2,0,'completed',0.5,NULL,5.0,10,100.0,'5-fold',5,0,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916013530015942e+09);
INSERT INTO "trials" VALUES(6,2,2,2,1,'completed',0.515625,NULL,5.0,10,100.0,'5-fold',5,1,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916013530015942e+09);
INSERT INTO "trials" VALUES(7,2,3,2,2,'completed',0.53125,NULL,5.0,10,100.0,'5-fold',5,2,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916013530015942e+09);
INSERT INTO "trials" VALUES(8,2,4,2,3,'completed',0.546875,NULL,5.0,10,100.0,'5-fold',5,3,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916013530015942e+09);
INSERT INTO "trials" VALUES(9,3,1,3,0,'completed',0.5,NULL,5.0,10,100.0,'5-fold',5,0,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916014303064347e+09);
INSERT INTO "trials" VALUES(10,3,2,3,1,'completed',0.515625,NULL,5.0,10,100.0,'5-fold',5,1,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916014303064347e+09);
INSERT INTO "trials" VALUES(11,3,3,3,2,'completed',0.53125,NULL,5.0,10,100.0,'5-fold',5,2,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916014303064347e+09);
INSERT INTO "trials" VALUES(12,3,4,3,3,'completed',0.546875,NULL,5.0,10,100.0,'5-fold',5,3,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916014303064347e+09);
INSERT INTO "trials" VALUES(13,1,1,4,0,'failed',NULL,NULL,5.0,10,100.0,'5-fold',5,0,'roc_auc','NUL \0000, \005c and \d800',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916015032052992e+09);
INSERT INTO "trials" VALUES(14,1,2,4,1,'completed',0.515625,NULL,5.0,10,100.0,'5-fold',5,1,'accuracy','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916015032052992e+09);
INSERT INTO "trials" VALUES(15,1,3,4,2,'completed',0.125,NULL,5.0,10,100.0,'holdout',1,2,'roc_auc','',-0.5,'random','7','{"gstar":"0.1.0"}',1.79547916015032052992e+09);
CREATE INDEX ix_runs_task ON runs (task);
CREATE INDEX trials_task ON trials (task);
CREATE INDEX trials_strategy ON trials (strategy);
COMMIT;
