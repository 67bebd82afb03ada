#!/usr/bin/env node
import { readFileSync } from 'node:fs'

const isVerify = process.argv[2] === 'verify'
if (isVerify) {
  // Status 1 would say that records are broken.
  process.on('uncaughtException', (fault) => {
    process.stderr.write(`verify failed: ${fault.stack ?? fault.message}\n`)
    process.exit(2)
  })
}

// Nothing else is imported before this: what it imports does not load on an older Node.js.
const oldest = [24, 18, 1] as const

const found = process.versions.node.split('.').map(Number)
const differs = oldest.findIndex((part, index) => part !== found[index])
if (differs !== -1 && (found[differs] ?? 0) < (oldest[differs] ?? 0)) {
  process.stderr.write(
    `countersign: NODE_TOO_OLD: needs Node.js ${oldest.join('.')} or newer; this is ${process.version} (${process.execPath})\n`,
  )
  process.exit(isVerify ? 2 : 1)
}

const { run } = await import('./run.ts')
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
await run(process.argv, manifest.version)
