import { hash } from 'node:crypto'
import { watch, type FSWatcher } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { readSource, type Snapshot, type SourceOutcome } from './source.ts'

/** How long a folder that is no ConfigMap mount must stay as it is before it is believed, in milliseconds. */
const settleMs = 250
const settleAttempts = 6

/** What tells one state of the folder from another: the policy version with its manifest, or what kept them from being read. */
export function sourceKey({ snapshot, problems }: SourceOutcome): string {
  const trouble = problems.length === 0 ? '' : JSON.stringify(problems)
  return snapshot === undefined ? trouble : `${snapshotKey(snapshot)}${trouble}`
}

/** The `sourceKey` of a folder that could be read: the same files with another manifest are another state. */
export function snapshotKey({ policyVersion, manifest }: Snapshot): string {
  return manifest === undefined ? policyVersion : `${policyVersion} ${hash('sha256', manifest, 'hex')}`
}

/**
 * Reads the folder; where somebody may just be writing into it, until two readings agree. Undefined where they do not.
 * A state that is known already is given at once.
 */
export async function readSettled(
  folder: string,
  isKnown: (key: string) => boolean,
): Promise<SourceOutcome | undefined> {
  let source = await readSource(folder)
  if (source.snapshot?.atomic === true || isKnown(sourceKey(source))) return source
  for (let attempt = 0; attempt < settleAttempts; attempt += 1) {
    await delay(settleMs)
    const again = await readSource(folder)
    if (sourceKey(again) === sourceKey(source)) return again
    source = again
  }
  return undefined
}

/**
 * Calls `look` when the folder announces a change, and every `pollMs` in any case: a watch can go deaf. The folder itself
 * is watched, since a watch on a file sees only the first swap of a ConfigMap. Gives what ends it.
 */
export function watchFolder(folder: string, pollMs: number, look: () => Promise<void>): () => void {
  let watcher: FSWatcher | undefined
  const onChange = () => void look()
  const poll = () => {
    watcher ??= tryWatch(folder, onChange, () => (watcher = undefined))
    onChange()
  }
  const timer = setInterval(poll, pollMs).unref()
  watcher = tryWatch(folder, onChange, () => (watcher = undefined))
  return () => {
    clearInterval(timer)
    watcher?.close()
  }
}

function tryWatch(folder: string, onChange: () => void, onEnd: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, onChange)
    watcher.on('error', () => {
      watcher.close()
      onEnd()
    })
    return watcher
  } catch {
    return undefined
  }
}
