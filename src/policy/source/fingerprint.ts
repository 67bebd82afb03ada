import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isPolicyFile, resolveFolder } from './source.ts'

/** How old a change has to be before it is believed that another one would leave another mark, in milliseconds. */
const youngMs = 3000

/**
 * What a policy folder looks like from outside (names, sizes, times of change), so that files that nobody touched need not
 * be read again. Undefined where that would prove nothing: something is missing, or was changed so lately that the clock
 * of the file system may not tell the next change from it.
 */
export async function fingerprint(folder: string, nowMs: number): Promise<string | undefined> {
  try {
    const { path } = await resolveFolder(folder)
    const names = (await readdir(path)).filter(isPolicyFile).sort()
    const facts = await Promise.all(names.map((name) => stat(join(path, name), { bigint: true })))
    const young = facts.some(({ ctimeMs }) => Number(ctimeMs) > nowMs - youngMs)
    const files = facts.map(({ dev, ino, size, mtimeNs, ctimeNs }, index) =>
      [names[index], dev, ino, size, mtimeNs, ctimeNs].join(' '),
    )
    return young ? undefined : [path, ...files].join('\n')
  } catch {
    return undefined
  }
}
