/** Written to the file's header (`PRAGMA application_id`): "CSgn". */
export const applicationId = 0x4353676e
/** Version of the tables below (`PRAGMA user_version`). A file of a later version is refused, never touched. */
export const schemaVersion = 1

export const fileName = 'spool.sqlite'
export const lockName = 'lock.sqlite'

export const tables = `
  CREATE TABLE records (
    position    INTEGER PRIMARY KEY,
    trail       TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    line        TEXT    NOT NULL
  ) STRICT;
  CREATE TABLE trails (
    number        INTEGER PRIMARY KEY,
    trail         TEXT    NOT NULL UNIQUE,
    last_sequence INTEGER NOT NULL,
    last_hash     TEXT    NOT NULL,
    closed        INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE cursors (
    sink     TEXT    PRIMARY KEY,
    position INTEGER NOT NULL
  ) STRICT;
`
