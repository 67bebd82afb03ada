import { readFileSync } from 'node:fs'
import { CountersignError, messageOf } from '../../errors.ts'
import type { Expectations } from './expectation.ts'
import type { Place } from './problem.ts'
import type { Verification } from './verify.ts'

/** Version of the file's form. */
const version = 1

/** What a run that found nothing wrong remembers of a trail. */
export interface RememberedTrail {
  /** The last record. */
  readonly sequence: number
  readonly hash: string
  /** The last checkpoint that was verified; null where there was none. */
  readonly checkpoint: { readonly size: number; readonly root: string } | null
  readonly place: Pick<Place, 'file' | 'line'>
}

/** What runs remember of each trail. */
export type Remembered = ReadonlyMap<string, RememberedTrail>

/**
 * Adds what the state file of earlier runs remembers to what is expected, and returns it; undefined where there is no such file. Throws
 * INPUT_UNREADABLE for anything that is not a state file as a whole: what it would prove must not be lost unseen.
 */
export function expectState(file: string, expectations: Expectations): Remembered | undefined {
  const remembered = readState(file)
  for (const [trail, known] of remembered ?? []) {
    const by = `an earlier run (${file})`
    const place: Place = { source: 'state', ...known.place }
    const { sequence, hash, checkpoint } = known
    if (checkpoint !== null) {
      const root = Buffer.from(checkpoint.root, 'base64')
      expectations.add(trail, { size: checkpoint.size, root, from: 'state', by, place })
    }
    expectations.add(trail, { size: sequence, hash, from: 'state', by, place })
  }
  return remembered
}

/** The text of the state file after a run: each trail that is whole as it is now, the others as `before` has them. */
export function stateOf({ trails }: Verification, at: Date, before: Remembered = new Map()): string {
  const remembered = trails.flatMap(({ trail, whole, lastSequence, lastHash, lastPlace, signed }) => {
    if (!whole || lastSequence === null || lastHash === null || lastPlace === null) return []
    const checkpoint = signed === null ? null : { size: signed.size, root: signed.root }
    const { file, line } = lastPlace
    return [[trail, { sequence: lastSequence, hash: lastHash, checkpoint, place: { file, line } }] as const]
  })
  return `${JSON.stringify({ version, verifiedAt: at.toISOString(), trails: Object.fromEntries([...before, ...remembered]) }, null, 2)}\n`
}

function readState(file: string): Remembered | undefined {
  const refuse = (why: string): CountersignError =>
    new CountersignError('INPUT_UNREADABLE', `--state: ${file} ${why}. Nothing was verified`)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw refuse(`cannot be read: ${messageOf(thrown)}`)
  }
  const state = objectIn(text)
  if (state === undefined) throw refuse('is not a state file: it is no JSON object')
  if (state['version'] !== version) {
    throw refuse(`has version ${JSON.stringify(state['version'])}; allowed: ${String(version)}`)
  }
  const trails = state['trails']
  if (!isObject(trails)) throw refuse('is not a state file: it has no trails')
  const remembered = new Map<string, RememberedTrail>()
  for (const [trail, value] of Object.entries(trails)) {
    if (!isRemembered(value)) throw refuse(`is damaged: what it says of trail ${trail} cannot be read`)
    remembered.set(trail, value)
  }
  return remembered
}

function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(text) as unknown
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isRemembered(value: unknown): value is RememberedTrail {
  if (!isObject(value) || !isObject(value['place'])) return false
  const { sequence, hash, checkpoint, place } = value
  return (
    isCount(sequence) &&
    typeof hash === 'string' &&
    /^[0-9a-f]{64}$/.test(hash) &&
    (checkpoint === null || isCheckpoint(checkpoint)) &&
    typeof place['file'] === 'string' &&
    Number.isSafeInteger(place['line'])
  )
}

function isCheckpoint(value: unknown): boolean {
  if (!isObject(value) || !isCount(value['size']) || typeof value['root'] !== 'string') return false
  return Buffer.from(value['root'], 'base64').length === 32
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
