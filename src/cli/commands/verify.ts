import { Command } from 'commander'
import { CountersignError } from '../../errors.ts'
import { openDataFolder } from '../../readers/source.ts'
import { verify, type Verification } from '../../readers/verify.ts'
import type { BadPlace, VerifiedTrail } from '../../readers/verify-trail.ts'
import { commanderOutput, counted, exitByUsage, printTable, visible, wide, type Column, type Io } from '../print.ts'

interface VerifyOptions {
  readonly data: string
  readonly json?: true
}

const examples = `
Each record must have the hash that it carries, name the record before it, and stand in its place; each trail must begin
with "opened" and end where the trail after it says.

Examples:
  countersign verify --data ./countersign-data
  countersign verify --json | jq .first

Exit status: 0 whole, 1 broken, 2 usage, or nothing there that could be verified.`

const exitCodes = { whole: 0, broken: 1, empty: 2 } as const

/** `countersign verify`: checks what a data folder keeps, and names the first bad place. Writes nothing. */
export function verifyCommand(io: Io): Command {
  return new Command('verify')
    .description('check that the records of a data folder are complete and unaltered')
    .option('--data <dir>', 'data folder of the server', './countersign-data')
    .option('--json', 'the result as one JSON object')
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (options: VerifyOptions) => {
      const result = await verifyFolder(io, options.data)
      process.exitCode = result === undefined ? 2 : exitCodes[result.verdict]
      if (result === undefined) return
      io.out(options.json === true ? JSON.stringify(result) : printVerification(result, io.columns))
    })
}

async function verifyFolder(io: Io, dir: string): Promise<Verification | undefined> {
  try {
    const folder = await openDataFolder(dir)
    try {
      return await verify(folder)
    } finally {
      folder.close()
    }
  } catch (fault) {
    if (!(fault instanceof CountersignError)) throw fault
    io.err(`${fault.code}: ${fault.message}`)
    return undefined
  }
}

const trailColumns: readonly Column[] = [
  { title: 'TRAIL' },
  { title: 'RECORDS', right: true },
  { title: 'FROM' },
  { title: 'TO' },
  { title: 'END' },
]

/** The result for people: the trails, what is worth noting, and the verdict in words. */
export function printVerification(result: Verification, columns?: number): string {
  const rows = result.trails.map((trail) => trailCells(trail, columns === undefined || columns >= wide))
  const table = rows.length === 0 ? '' : `${printTable(trailColumns, rows, columns)}\n\n`
  const notes = result.notes.map((note) => `Note: ${visible(note)}\n`).join('')
  return `${table}${notes}${verdictOf(result)}`
}

function trailCells({ trail, records, from, to, end, whole }: VerifiedTrail, inFull: boolean): string[] {
  // Replica, and both ends of the UUID.
  const name = inFull ? trail : `${trail.slice(0, -28)}…${trail.slice(-8)}`
  return [name, records.toLocaleString('en'), minuteOf(from), minuteOf(to), whole ? end : 'BROKEN']
}

function minuteOf(time: string | null): string {
  return time === null ? '-' : `${time.slice(0, 10)} ${time.slice(11, 16)}`
}

function verdictOf({ verdict, bad, totals }: Verification): string {
  switch (verdict) {
    case 'whole':
      return `Whole: ${counted(totals.records, 'record')} in ${counted(totals.trails, 'trail')}; every hash, sequence and link holds${duplicatesIn(totals.duplicates)}.`
    case 'broken':
      return bad.map((place, index) => `${index === 0 ? 'BROKEN: ' : 'Also: '}${described(place)}`).join('\n')
    case 'empty':
      return 'Nothing to verify: the data folder holds no record.'
  }
}

function duplicatesIn(count: number): string {
  if (count === 0) return ''
  return ` (${count} met twice, byte for byte the same: the spool keeps records for a while after delivery)`
}

function described({ trail, sequence, file, line, problem }: BadPlace): string {
  return visible(`trail ${trail}, sequence ${String(sequence)}, at ${file}:${String(line)}: ${problem}`)
}
