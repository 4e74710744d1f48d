/**
 * The tables of the file, and the version of their layout.
 *
 * https://www.sqlite.org/withoutrowid.html
 *
 * Names that repeat (types, parameters, systems, codes, words) are written once and known by small numbers; a row of an
 * index is then a few of them. docs/decisions/0010-sqlite-layout.md says why.
 */
import type Database from 'better-sqlite3'
import { StoreUnusable } from '../store.js'

export const schemaVersion = 3

const tables = `
CREATE TABLE tenant (tenant INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- A type of a tenant: what is keyed by tid, or by what belongs to one (pid, term, rid), is the tenant's own.
CREATE TABLE type (tid INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (tenant, name));
CREATE TABLE param (pid INTEGER PRIMARY KEY, tid INTEGER NOT NULL, code TEXT NOT NULL, kind TEXT NOT NULL, UNIQUE (tid, code, kind));
CREATE TABLE system (sys INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, url TEXT NOT NULL, UNIQUE (tenant, url));

-- A value of a parameter: code and system of a token, a string folded and (where it differs) raw, a URI, a unit.
CREATE TABLE term (term INTEGER PRIMARY KEY, pid INTEGER NOT NULL, value TEXT, sys INTEGER NOT NULL, raw TEXT);
CREATE INDEX term_value ON term (pid, value, sys);
CREATE INDEX term_system ON term (pid, sys) WHERE sys > 0;

-- Which parameters a resource has values for: few sets, shared by many.
CREATE TABLE shape (sid INTEGER PRIMARY KEY, pids TEXT NOT NULL UNIQUE);
CREATE TABLE shape_param (pid INTEGER NOT NULL, sid INTEGER NOT NULL, PRIMARY KEY (pid, sid)) WITHOUT ROWID;

-- rid is the order of creation. seq and first are places in version; live is 0 for what is deleted, or only referred to.
CREATE TABLE resource (
  rid INTEGER PRIMARY KEY, tid INTEGER NOT NULL, id TEXT NOT NULL,
  seq INTEGER, first INTEGER, live INTEGER NOT NULL, sid INTEGER NOT NULL
);
CREATE UNIQUE INDEX resource_id ON resource (tid, id);
CREATE INDEX resource_live ON resource (tid) WHERE live = 1;

CREATE TABLE version (
  seq INTEGER PRIMARY KEY, rid INTEGER NOT NULL, tid INTEGER NOT NULL, version INTEGER NOT NULL,
  updated INTEGER NOT NULL, method INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX version_type ON version (tid, updated);
-- The first version is found through resource.first, so that a resource that never changes costs no row here.
CREATE INDEX version_rid ON version (rid, version) WHERE version > 1;

-- All that search knows of one resource, packed: what to take back on an update, sort keys, exact tests.
CREATE TABLE entry (rid INTEGER PRIMARY KEY, data BLOB NOT NULL);

CREATE TABLE posting (term INTEGER NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (term, rid)) WITHOUT ROWID;
CREATE TABLE reference (target INTEGER NOT NULL, pid INTEGER NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (target, pid, rid)) WITHOUT ROWID;
CREATE TABLE interval (series INTEGER NOT NULL, hi NUMERIC NOT NULL, lo NUMERIC NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (series, hi, lo, rid)) WITHOUT ROWID;
-- What refers to a patient, by its latest date.
CREATE TABLE timeline (target INTEGER NOT NULL, pid INTEGER NOT NULL, at NUMERIC NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (target, pid, at, rid)) WITHOUT ROWID;
CREATE TABLE position (pid INTEGER NOT NULL, latitude REAL NOT NULL, longitude REAL NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (pid, latitude, longitude, rid)) WITHOUT ROWID;
CREATE VIRTUAL TABLE narrative USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
CREATE VIRTUAL TABLE content USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');

-- Words that wait to be indexed: at 2 * rid those of the narrative, at 2 * rid + 1 those of the content.
CREATE TABLE wording (tid INTEGER NOT NULL, place INTEGER NOT NULL, words TEXT, PRIMARY KEY (tid, place)) WITHOUT ROWID;

CREATE TABLE claim (tenant INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires INTEGER, PRIMARY KEY (tenant, key)) WITHOUT ROWID;
CREATE INDEX claim_expires ON claim (tenant, expires) WHERE expires IS NOT NULL;
-- Those of the site itself are of tenant 0.
CREATE TABLE secret (tenant INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires INTEGER, PRIMARY KEY (tenant, key)) WITHOUT ROWID;
CREATE INDEX secret_expires ON secret (tenant, expires) WHERE expires IS NOT NULL;

-- Records of an audit log, a few dozen packed in a row, in the order of their chain: at auditSpan * tenant + the sequence
-- number of the first. lo is the time of the first.
CREATE TABLE audit (place INTEGER PRIMARY KEY, lo INTEGER NOT NULL, data BLOB NOT NULL);
-- Which of them have records with a key: of some thousand records a portion, whose keys lie in a few buckets, each a list
-- of (digest of a key, row that has it), so that hundreds of records cost a few dozen rows that stand close together.
CREATE TABLE audit_key (portion INTEGER NOT NULL, bucket INTEGER NOT NULL, place INTEGER NOT NULL, keys BLOB NOT NULL, PRIMARY KEY (portion, bucket, place)) WITHOUT ROWID;
-- What was taken over from the file of appends.
CREATE TABLE audit_appended (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT INTO audit_appended (one, number) VALUES (1, 0);
`

/** Makes the tables in a new file; refuses a file of a later version or of another program. */
export function migrate(db: Database.Database, path: string): void {
  const found = Number(db.pragma('user_version', { simple: true }))
  if (found === schemaVersion) return
  if (found > schemaVersion)
    throw new StoreUnusable(
      `${path} was written by a newer version of this program (layout ${found}, this one knows ${schemaVersion}): start the newer version, or restore a backup made by this one`,
    )
  if (found > 0)
    throw new StoreUnusable(
      `${path} has a layout this version no longer reads (${found}, this one knows ${schemaVersion}): load it anew, or start the version that wrote it`,
    )
  const others = db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get()
  if (others !== 0)
    throw new StoreUnusable(`${path} is a database of another program: choose another path for the store`)
  db.transaction(() => {
    db.exec(tables)
    db.pragma(`user_version = ${schemaVersion}`)
  }).immediate()
}
