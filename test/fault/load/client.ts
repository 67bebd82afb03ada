/** The load, as a process of its own: node test/fault/load/client.ts OPTIONS, with the options of `LoadOptions` as JSON. */
import { createWriteStream } from 'node:fs'
import { authorizationService } from '../../../src/grpc/services.ts'
import { ordersCheck } from '../checks.ts'
import { startAccessLog } from './access-log.ts'
import { readAnswer } from './answer.ts'
import { Connection } from './connection.ts'
import { ledgerLine } from './ledger.ts'
import type { LoadCommand, LoadOptions, LoadStatus, Pace } from './load.ts'

const tickMs = 2
const tellMs = 50
/** Calls that one connection may have under way: the server allows 1,000. */
const mostPerConnection = 500

const options = JSON.parse(process.argv[2] ?? '{}') as LoadOptions
const ledger = createWriteStream(options.ledger, { flags: 'a' })
const definition = authorizationService['Check']
if (definition === undefined) throw new Error('the authorization service has no Check')
const serialize = definition.requestSerialize

// One in five is denied: nobody may see /admin. The others differ in seven digits.
const digits = '0000000'
const allowed = prefixed(serialize(ordersCheck(`/orders/${digits}`)))
const denied = prefixed(serialize(ordersCheck('/admin/users')))
const digitsAt = allowed.indexOf(digits)

let pace: Pace = options.pace
let sent = 0
let failed = 0
let lines = ''
const answered = { allow: 0, deny: 0, unavailable: 0 }
/** Calls that are due by a fixed rate, and since when. */
let due = { since: performance.now(), sent: 0 }

const connections = Array.from(
  { length: options.connections },
  () =>
    new Connection(options.port, definition.path, {
      onAnswer: (message, microseconds) => {
        const answer = readAnswer(message)
        if (answer.reason === 'AUDIT_UNAVAILABLE') answered.unavailable += 1
        else answered[answer.effect] += 1
        lines += ledgerLine({ at: Date.now(), microseconds, ...answer })
      },
      onFailed: (calls) => (failed += calls),
      onRoom: fill,
    }),
)
const accessLog = startAccessLog(options.port)

/** Closed loop: each answer makes room for the next call. */
function fill(): void {
  if (pace.kind !== 'closed') return
  for (const connection of connections) {
    while (connection.underWay < pace.perConnection && send(connection));
    connection.flush()
  }
}

/** Open loop: so many calls a second, whatever becomes of them. Calls that cannot be sent are not made up for. */
function tick(): void {
  if (pace.kind !== 'rate') return
  const wanted = Math.floor(((performance.now() - due.since) / 1000) * pace.perSecond)
  for (let turn = 0; due.sent < wanted; due.sent += 1, turn += 1) {
    const connection = connections[turn % connections.length]
    if (connection !== undefined && connection.underWay < mostPerConnection) send(connection)
  }
  for (const connection of connections) connection.flush()
}

function send(connection: Connection): boolean {
  if (!connection.takes(allowed.length)) return false
  sent += 1
  if (sent % 5 === 0) {
    connection.call(denied)
  } else {
    allowed.write(String(sent % 10_000_000).padStart(digits.length, '0'), digitsAt, 'latin1')
    connection.call(allowed)
  }
  return true
}

function prefixed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

function setPace(next: Pace): void {
  pace = next
  due = { since: performance.now(), sent: 0 }
  accessLog.setRate(next.accessPerSecond ?? 0)
  fill()
}

/** What the ledger lacks is written before the number of answers is told: whoever reads it finds them all. */
function tell(): void {
  const underWay = connections.reduce((sum, connection) => sum + connection.underWay, 0)
  const access = accessLog.status()
  const status: LoadStatus = { sent, failed, underWay, access, answered: { ...answered } }
  ledger.write(lines, () => process.send?.(status))
  lines = ''
}

async function stop(): Promise<void> {
  setPace({ kind: 'pause' })
  const latest = Date.now() + 10_000
  while (connections.some(({ underWay }) => underWay > 0) && Date.now() < latest) {
    await new Promise((resolve) => setTimeout(resolve, tickMs))
  }
  await accessLog.close()
  for (const connection of connections) connection.close()
  clearInterval(ticking)
  clearInterval(telling)
  tell()
  ledger.end(() => process.disconnect())
}

const ticking = setInterval(tick, tickMs)
const telling = setInterval(tell, tellMs)
setPace(pace)
process.on('message', (command: LoadCommand) => {
  if (command.kind === 'stop') void stop()
  else setPace(command)
})
process.on('disconnect', () => process.exit())
