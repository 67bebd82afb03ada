import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../../real/parts.ts'
import type { RealKafka } from '../../real/kafka.ts'

const jars = join(cacheFolder, 'kafka/lib/*')

/**
 * Writes the values of a topic to a file, one per line, in the order of its only partition, as Kafka's own console consumer prints
 * them. Resolves with their number. Holds nothing in memory. Rejects where the consumer printed fewer than stand in the topic.
 */
export async function dumpTopic(
  kafka: Pick<RealKafka, 'brokers' | 'recordCount'>,
  topic: string,
  file: string,
): Promise<number> {
  const records = await kafka.recordCount(topic)
  const limits = ['--max-messages', String(records), '--timeout-ms', '60000']
  const consumer = 'org.apache.kafka.tools.consumer.ConsoleConsumer'
  const from = ['--bootstrap-server', kafka.brokers.join(','), '--topic', topic, '--from-beginning']
  const fetching = ['fetch.max.bytes=52428800', 'max.partition.fetch.bytes=16777216', 'max.poll.records=5000']
  const larger = fetching.flatMap((property) => ['--consumer-property', property])
  await runInto(file, [
    '-Xmx512m',
    '-XX:TieredStopAtLevel=1',
    '-XX:+UseSerialGC',
    '-cp',
    jars,
    consumer,
    ...from,
    ...larger,
    ...limits,
  ])
  return records
}

async function runInto(file: string, args: readonly string[]): Promise<void> {
  const out = openSync(file, 'w')
  const child = spawn('java', ['-Dorg.slf4j.simpleLogger.defaultLogLevel=error', ...args], {
    stdio: ['ignore', out, 'pipe'],
  })
  closeSync(out)
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text))
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  process.off('exit', end)
  if (status !== 0) throw new Error(`the console consumer ended with ${String(status)}: ${said.slice(-2000)}`)
}
