/** Written to the file's header (`PRAGMA application_id`): "CSgn". */
export const applicationId = 0x4353676e
/** Version of the tables below (`PRAGMA user_version`). A file of a later version is refused, never touched. */
export const schemaVersion = 2

export const fileName = 'spool.sqlite'
export const lockName = 'lock.sqlite'
export const headName = 'head'
/** What was taken out of a file that was deleted or replaced under its writer. */
export const rescueName = 'rescue.sqlite'
export const setAsideName = 'set-aside'

/**
 * `digest` is of the row's other members (`digestOf`): a record carries its own hash, the rest of the file must not be altered
 * unseen either. Positions of records have no holes but those of `holes`, and none is at or below `extent.floor`.
 */
export const tables = `
  CREATE TABLE records (
    position    INTEGER PRIMARY KEY,
    trail       TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    line        TEXT    NOT NULL
  ) STRICT;
  ${laterTables()}
`

/** Everything but `records`, which is the same in all versions. */
export function laterTables(): string {
  return `
  CREATE TABLE trails (
    number        INTEGER PRIMARY KEY,
    trail         TEXT    NOT NULL UNIQUE,
    last_sequence INTEGER NOT NULL,
    last_hash     TEXT    NOT NULL,
    position      INTEGER NOT NULL,
    closed        INTEGER NOT NULL,
    digest        TEXT    NOT NULL
  ) STRICT;
  CREATE TABLE cursors (
    sink     TEXT    PRIMARY KEY,
    position INTEGER NOT NULL,
    mark     TEXT,
    digest   TEXT    NOT NULL
  ) STRICT;
  CREATE TABLE extent (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    floor            INTEGER NOT NULL,
    position         INTEGER NOT NULL,
    bytes            INTEGER NOT NULL,
    waiting_position INTEGER NOT NULL,
    waiting_records  INTEGER NOT NULL,
    waiting_bytes    INTEGER NOT NULL,
    digest           TEXT    NOT NULL
  ) STRICT;
  CREATE TABLE holes (
    first  INTEGER PRIMARY KEY,
    last   INTEGER NOT NULL,
    digest TEXT    NOT NULL
  ) STRICT;
  CREATE TABLE findings (
    number INTEGER PRIMARY KEY,
    gap    TEXT    NOT NULL,
    digest TEXT    NOT NULL
  ) STRICT;
`
}
