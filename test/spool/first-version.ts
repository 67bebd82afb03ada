import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileName, headName } from '../../src/spool/file/schema.ts'

/** Gives the spool in `dir`, which nobody holds, the tables that version 1 had, without a head beside them. */
export function toVersion1(dir: string): void {
  const database = new DatabaseSync(join(dir, fileName))
  database.exec(`
    CREATE TABLE trails1 (number INTEGER PRIMARY KEY, trail TEXT NOT NULL UNIQUE, last_sequence INTEGER NOT NULL,
      last_hash TEXT NOT NULL, closed INTEGER NOT NULL) STRICT;
    INSERT INTO trails1 SELECT number, trail, last_sequence, last_hash, closed FROM trails;
    CREATE TABLE cursors1 (sink TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
    INSERT INTO cursors1 SELECT sink, position FROM cursors;
    DROP TABLE trails; DROP TABLE cursors; DROP TABLE extent; DROP TABLE holes; DROP TABLE findings;
    ALTER TABLE trails1 RENAME TO trails; ALTER TABLE cursors1 RENAME TO cursors;
    PRAGMA user_version = 1;
  `)
  database.close()
  rmSync(join(dir, headName))
}
