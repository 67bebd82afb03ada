import { digestOf, type Row, type Sql } from './sql.ts'

/** The tables whose rows carry a digest, and its members in order. */
const members = {
  trails: ['trail', 'last_sequence', 'last_hash', 'position', 'closed'],
  cursors: ['sink', 'position', 'mark'],
  extent: ['floor', 'position', 'bytes', 'waiting_position', 'waiting_records', 'waiting_bytes'],
  holes: ['first', 'last'],
  findings: ['gap'],
} as const

export type DigestedTable = keyof typeof members

/** Whether every row beside the records is as its writer left it. Throws what SQLite throws. */
export function digestsFit(sql: Sql): boolean {
  const tables = Object.keys(members) as DigestedTable[]
  return tables.every((table) => sql.all(`SELECT * FROM ${table}`).every((row) => digestFits(table, row)))
}

export function digestFits(table: DigestedTable, row: Row): boolean {
  const values = members[table].map((name) => row[name] as string | number | null)
  return digestOf(...values) === row['digest']
}
