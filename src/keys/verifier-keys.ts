import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseVerifierKey, type VerifierKey } from '../audit/checkpoint.ts'
import { CountersignError, messageOf } from '../errors.ts'
import { syncFolder } from './durable-file.ts'

/**
 * Reads a list of verifier keys: one `<name>+<key id>+<base64>` a line; empty lines and lines that begin with `#` are passed over.
 * Throws KEY_INVALID, which names the file and each line that is none, also where it holds no key at all.
 */
export function readVerifierKeys(file: string): readonly VerifierKey[] {
  const keys: VerifierKey[] = []
  const problems: string[] = []
  for (const [index, line] of readText(file).split('\n').entries()) {
    const text = line.trim()
    if (text === '' || text.startsWith('#')) continue
    const parsed = parseVerifierKey(text)
    if (!parsed.ok) problems.push(`${file}:${String(index + 1)}: no verifier key: ${parsed.problem}`)
    else if (!keys.some((known) => known.text === text)) keys.push(parsed.value)
  }
  if (problems.length > 0) throw new CountersignError('KEY_INVALID', problems.join('\n'))
  if (keys.length > 0) return keys
  throw new CountersignError('KEY_INVALID', `${file} holds no verifier key; allowed: one NAME+ID+KEY a line`)
}

/**
 * Adds a verifier key to the list in `file`, which is made where there is none. The list only grows: what an old key signed is
 * checked with it long after another has taken its place. Durable when it returns. Throws what the file system says.
 */
export function rememberVerifierKey(file: string, verifierKey: string): void {
  const list = openSync(file, 'a+', 0o600)
  try {
    const known = readFileSync(list)
    // A line without its end is of a start that was cut short before its key was used.
    const whole = known.subarray(0, known.lastIndexOf('\n') + 1)
    if (whole.length < known.length) ftruncateSync(list, whole.length)
    const listed = whole
      .toString()
      .split('\n')
      .some((line) => line.trim() === verifierKey)
    if (!listed) append(list, `${verifierKey}\n`, whole.length)
    fsyncSync(list)
  } finally {
    closeSync(list)
  }
  syncFolder(dirname(file))
}

function append(list: number, line: string, before: number): void {
  // A full disk may take a part of it.
  if (writeSync(list, line) === Buffer.byteLength(line)) return
  ftruncateSync(list, before)
  throw new Error('the disk did not take the whole line')
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    throw new CountersignError('KEY_INVALID', `${file} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
}
