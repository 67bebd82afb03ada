import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** One thing that is wrong: `from` stands exactly once in the file, and `to` in its place. */
export interface Breakage {
  /** Path beneath the project. */
  readonly file: string
  readonly from: string
  readonly to: string
}

export interface BrokenProject {
  readonly folder: string
  readonly sources: string
  remove(): void
}

const project = join(import.meta.dirname, '../..')
const copied = [
  'src',
  'test',
  'proto',
  'deploy',
  'docs',
  'jest.config.js',
  'package.json',
  'tsconfig.json',
  'README.md',
]
const linked = ['node_modules', '.cache']

/** A copy of the project with that broken in it: production code has no switches for tests. Throws where `from` has moved on. */
export function breakProject(...breakages: readonly Breakage[]): BrokenProject {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-broken-'))
  for (const name of copied) cpSync(join(project, name), join(folder, name), { recursive: true })
  for (const name of linked) symlinkSync(join(project, name), join(folder, name))
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    for (const breakage of breakages) breakFile(folder, breakage)
  } catch (thrown) {
    remove()
    throw thrown
  }
  return { folder, sources: join(folder, 'src'), remove }
}

function breakFile(folder: string, { file, from, to }: Breakage): void {
  const path = join(folder, file)
  const parts = readFileSync(path, 'utf8').split(from)
  if (parts.length !== 2) throw new Error(`${file} has "${from}" ${parts.length - 1} times; a breakage needs it once`)
  writeFileSync(path, parts.join(to))
}
