import Table from 'cli-table3'
import { CommanderError } from 'commander'
import type { ParsedRecord } from '../audit/chain.ts'
import { AccessJoin, type AccessRow, type Row } from '../readers/accesses.ts'
import { shortPrincipal } from '../readers/principal-name.ts'

/** Where a command prints to: each text is whole lines without the last line's end. */
export interface Io {
  out(text: string): void
  err(text: string): void
  /** Width of the terminal; left out where the output is no terminal: nothing is shortened then. */
  readonly columns?: number
  /** Shows how far something long has got, over what it showed before; left out where nobody looks at standard error. */
  progress?(text: string): void
}

/**
 * The process's own output. A reader that goes away (`| head`) ends the process quietly, with the exit code that stands
 * by then.
 */
export function processIo(): Io {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(process.exitCode)
  })
  const { columns } = process.stdout
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    ...(process.stdout.isTTY && columns > 0 ? { columns } : {}),
    ...(process.stderr.isTTY ? { progress: (text: string) => void process.stderr.write(`\r\x1b[K${text}`) } : {}),
  }
}

/** What commander itself has to say (help, wrong usage), printed where the command prints. */
export function commanderOutput(io: Io): { writeOut: (text: string) => void; writeErr: (text: string) => void } {
  return {
    writeOut: (text) => {
      io.out(text.replace(/\n$/, ''))
    },
    writeErr: (text) => {
      io.err(text.replace(/\n$/, ''))
    },
  }
}

/** For `exitOverride`: wrong usage ends with status 2, help and version with 0. */
export function exitByUsage({ exitCode, code, message }: CommanderError): never {
  throw new CommanderError(exitCode === 0 ? 0 : 2, code, message)
}

/** One column of a table: `shrinks` tells how it gives way where the terminal is narrow. */
export interface Column {
  readonly title: string
  /** Narrowest useful width; a column without it keeps its width. */
  readonly shrinksTo?: number
  readonly right?: boolean
}

/** A row of cells, or a label and a text that runs over the other columns. */
export type Cells = readonly string[] | { readonly time: string; readonly label: string; readonly text: string }

/** Width from which tables need not save space. */
export const wide = 100

/** Prints rows under their titles, no wider than `columns`. Control characters are shown, never sent to the terminal. */
export function printTable(titles: readonly Column[], rows: readonly Cells[], columns = Infinity): string {
  const shown = rows.map((row) => ('text' in row ? row : row.map(visible)))
  const gap = columns < wide ? 1 : 2
  const widths = fitWidths(titles, shown, columns - gap * titles.length)
  const table = new Table({
    chars: noBorders,
    style: { 'padding-left': 0, 'padding-right': gap, head: [], border: [], compact: true },
    colWidths: widths.map((width) => width + gap),
    colAligns: titles.map(({ right }) => (right === true ? 'right' : 'left')),
    head: titles.map(({ title }) => title),
  })
  for (const row of shown) {
    if (!('text' in row)) table.push([...row])
    else table.push([row.time, row.label, { content: visible(row.text), colSpan: titles.length - 2 }])
  }
  const lines = table.toString().split('\n')
  return lines.map((line) => line.trimEnd()).join('\n')
}

const noBorders = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid']
    .flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`])
    .concat('middle')
    .map((name) => [name, '']),
)

function fitWidths(titles: readonly Column[], rows: readonly Cells[], room: number): number[] {
  const widths = titles.map(({ title }, index) =>
    rows.reduce((width, row) => Math.max(width, 'text' in row ? 0 : (row[index]?.length ?? 0)), title.length),
  )
  for (let over = sum(widths) - room; over > 0; over -= 1) {
    const widest = widestThatShrinks(titles, widths)
    if (widest === undefined) break
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return widths
}

function widestThatShrinks(titles: readonly Column[], widths: readonly number[]): number | undefined {
  let widest: number | undefined
  for (const [index, width] of widths.entries()) {
    if (width <= (titles[index]?.shrinksTo ?? Infinity)) continue
    if (widest === undefined || width > (widths[widest] ?? 0)) widest = index
  }
  return widest
}

/** Shows characters that a terminal would obey, or that hide others, by their code: paths are chosen by callers. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
  })
}

const accessColumns: readonly Column[] = [
  { title: 'TIME' },
  { title: 'EFFECT' },
  { title: 'CALLER', shrinksTo: 8 },
  { title: 'TO', shrinksTo: 8 },
  { title: 'REQUEST', shrinksTo: 12 },
  { title: 'STATUS' },
  { title: 'REASON', shrinksTo: 16 },
  { title: 'RULE', shrinksTo: 6 },
]

/** Prints a trail for people as it comes: a table a day, one row for each access, a last line with the count. */
export class TrailPrinter {
  readonly #columns: number
  readonly #out: (text: string) => void
  readonly #join = new AccessJoin()
  readonly #maxRows: number
  #page: Row[] = []
  #day = ''
  #rows = 0
  #records = 0
  #effects = new Map<string, number>()

  constructor(out: (text: string) => void, columns = Infinity, maxRows = Infinity) {
    this.#out = out
    this.#columns = columns
    this.#maxRows = maxRows
  }

  /** Takes a record; false where the rows that may be printed are full. */
  add(record: ParsedRecord): boolean {
    this.#records += 1
    this.#take(this.#join.add(record))
    return this.#rows < this.#maxRows
  }

  /** Prints what waits, and the count. */
  end(): void {
    this.#take(this.#join.end())
    this.#flush()
    const effects = [...this.#effects].sort().map(([effect, count]) => `${String(count)} ${effect}`)
    const accesses = sum([...this.#effects.values()])
    const parts = effects.length === 0 ? '' : ` (${effects.join(', ')})`
    this.#out(`${counted(this.#records, 'record')}, ${counted(accesses, 'access', 'accesses')}${parts}`)
  }

  #take(rows: readonly Row[]): void {
    for (const row of rows) {
      if (this.#rows === this.#maxRows) return
      this.#rows += 1
      const day = row.time.slice(0, 10)
      if (day !== this.#day || this.#page.length === 500) this.#flush()
      this.#day = day
      this.#page.push(row)
      if (row.kind === 'access') this.#count(row.effect ?? row.reason ?? 'without a decision')
    }
  }

  #count(effect: string): void {
    this.#effects.set(effect, (this.#effects.get(effect) ?? 0) + 1)
  }

  #flush(): void {
    if (this.#page.length === 0) return
    const digits = this.#columns < wide ? 8 : 12
    const rows = this.#page.map((row) => cellsOf(row, row.time.slice(11, 11 + digits)))
    this.#out(`${visible(this.#day)} (UTC)\n${printTable(accessColumns, rows, this.#columns)}\n`)
    this.#page = []
  }
}

/** The table of a few records, with its last line. */
export function printTrail(records: Iterable<ParsedRecord>, { columns }: { readonly columns?: number } = {}): string {
  const parts: string[] = []
  const printer = new TrailPrinter((part) => void parts.push(part), columns)
  for (const record of records) printer.add(record)
  printer.end()
  return parts.join('\n')
}

function cellsOf(row: Row, time: string): Cells {
  return row.kind === 'event' ? { time, label: row.what, text: row.text } : accessCells(time, row)
}

function accessCells(time: string, row: AccessRow): Cells {
  const [principal, destination] = [row.principal, row.destination].map((name) => shortPrincipal(name ?? '-'))
  const cells = [time, row.effect, principal, destination, row.request, row.status, row.reason, row.rule]
  return cells.map((cell) => cell ?? '-')
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
