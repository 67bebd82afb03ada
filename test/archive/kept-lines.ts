import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'

/**
 * What a folder keeps, in the order of its files' names, read without the code under test: sealed files that have a manifest,
 * and open ones. It may be written meanwhile.
 */
export function keptLines(archiveDir: string): string[] {
  for (;;) {
    try {
      return readLines(archiveDir)
    } catch (thrown) {
      // Sealed between being listed and being read.
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT' || !existsSync(archiveDir)) throw thrown
    }
  }
}

function readLines(archiveDir: string): string[] {
  const names = readdirSync(archiveDir, { recursive: true, encoding: 'utf8' }).sort()
  const sealed = names.filter((name) => name.endsWith('.ndjson.zst') && names.includes(manifestOf(name)))
  const open = names.filter((name) => name.endsWith('.ndjson') && !sealed.includes(`${name}.zst`))
  const texts = [...sealed, ...open].sort().map((name) => {
    const bytes = readFileSync(join(archiveDir, name))
    return (name.endsWith('.zst') ? zstdDecompressSync(bytes) : bytes).toString()
  })
  return texts.flatMap((text) => text.split('\n').slice(0, -1))
}

function manifestOf(name: string): string {
  return name.replace(/\.ndjson\.zst$/, '.manifest.json')
}
