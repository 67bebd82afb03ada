import { Command, InvalidArgumentError } from 'commander'
import { CountersignError } from '../../errors.ts'
import { parseFilter, recordTypes, type Filter, type FilterText } from '../../readers/filter.ts'
import { query } from '../../readers/query.ts'
import { openDataFolder, type DataFolder } from '../../readers/source.ts'
import { commanderOutput, counted, exitByUsage, TrailPrinter, type Io } from '../print.ts'

interface QueryOptions extends FilterText {
  readonly data: string
  readonly json?: true
  readonly limit?: number
}

const examples = `
Times are those at which a record was written, in UTC; --until is not included. Every filter that is given has to match.

Examples:
  countersign query --data ./countersign-data --since 1h
  countersign query --effect deny --destination shop/orders --since 2026-11-22 --until 2026-11-23
  countersign query --principal 'spiffe://cluster.local/ns/shop/**' --path-prefix /orders
  countersign query --decision 0197a000-0000-7000-8000-000000000001
  countersign query --json --type decision --reason NO_MATCHING_RULE | jq .data.resource.path

Exit status: 0 done, 1 damaged lines were left out (see "countersign verify"), 2 usage, or the data cannot be read.`

/** `countersign query`: finds records and prints them as a table, or, with --json, byte for byte. */
export function queryCommand(io: Io, now: () => Date = () => new Date()): Command {
  const command = new Command('query')
    .description('find records in a data folder: archive and spool')
    .option('--data <dir>', 'data folder of the server', './countersign-data')
    .option('--json', 'one record a line, byte for byte as in the archive')
    .option('--since <time>', 'not before: RFC 3339, a date, or a duration back from now (30m, 1h, 7d)')
    .option('--until <time>', 'before: as --since')
    .option('--principal <id>', 'caller: SPIFFE ID, a tree of them (spiffe://…/**), or a short name (shop/web)')
    .option('--destination <id>', 'called workload: as --principal, or the host')
    .option('--effect <effect>', 'allow or deny')
    .option('--reason <reasons>', 'reason of the decision; several are separated by commas')
    .option('--path-prefix <path>', 'how the path begins')
    .option('--decision <id>', 'decision id')
    .option('--trace <id>', 'trace id')
    .option('--type <types>', `type of record, several separated by commas: ${recordTypes.join(', ')}`)
    .option('--limit <count>', 'at most so many, the earliest first: records, or rows of the table', parseCount)
    .addHelpText('after', examples)
  return command
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (options: QueryOptions) => {
      const filter = parseFilter(options, now())
      if (!filter.ok) return command.error(`error: ${filter.problem}`, { exitCode: 2, code: 'countersign.usage' })
      process.exitCode = await runQuery(io, options, filter.value)
    })
}

async function runQuery(io: Io, options: QueryOptions, filter: Filter): Promise<number> {
  try {
    const folder = await openDataFolder(options.data)
    try {
      return await printFound(io, folder, options, filter)
    } finally {
      folder.close()
    }
  } catch (fault) {
    if (!(fault instanceof CountersignError)) throw fault
    io.err(`${fault.code}: ${fault.message}`)
    return 2
  }
}

async function printFound(io: Io, folder: DataFolder, options: QueryOptions, filter: Filter): Promise<number> {
  let damaged = 0
  const found = query(folder, filter, () => (damaged += 1))
  const print = options.json === true ? printLines : printRows
  await print(io, found, options.limit)
  if (damaged === 0) return 0
  io.err(`${counted(damaged, 'damaged line')} left out: run "countersign verify --data ${options.data}"`)
  return 1
}

type Found = ReturnType<typeof query>

async function printLines(io: Io, found: Found, limit = Infinity): Promise<void> {
  let count = 0
  for await (const { line } of found) {
    io.out(line)
    count += 1
    if (count === limit) return
  }
}

async function printRows(io: Io, found: Found, limit?: number): Promise<void> {
  const printer = new TrailPrinter(
    (text) => {
      io.out(text)
    },
    io.columns,
    limit,
  )
  for await (const { record } of found) {
    if (!printer.add(record)) break
  }
  printer.end()
}

function parseCount(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError('Give a whole number from 1 on.')
  return Number(text)
}
