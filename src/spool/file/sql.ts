import { hash } from 'node:crypto'
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'

export type Row = Record<string, unknown>

/** A database whose statements are prepared once each. Throws what SQLite throws. */
export class Sql {
  readonly database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(database: DatabaseSync) {
    this.database = database
  }

  run(sql: string, ...values: SQLInputValue[]): void {
    this.#statement(sql).run(...values)
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values)
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...values)
  }

  /** Reads row by row; a loop over it may be left at any time. */
  iterate(sql: string, ...values: SQLInputValue[]): Iterable<Row> {
    return this.#statement(sql).iterate(...values)
  }

  /** The member `value` of the first row; null where there is none. */
  number(sql: string, ...values: SQLInputValue[]): number | null {
    const value = this.get(sql, ...values)?.['value']
    return typeof value === 'number' ? value : null
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.database.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }
}

/** What a row's `digest` holds: 16 hex digits over its other members, in the order of the table. */
export function digestOf(...members: readonly (string | number | null)[]): string {
  return hash('sha256', JSON.stringify(members), 'hex').slice(0, 16)
}
