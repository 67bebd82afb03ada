import { createReadStream } from 'node:fs'

/** The lines of a file of any size, without their newlines. Rejects where the last one has none. */
export async function* linesOf(file: string): AsyncGenerator<string, void> {
  let rest = ''
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 1024 * 1024 })) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') throw new Error(`${file} ends within a line: ${rest.slice(0, 200)}`)
}
