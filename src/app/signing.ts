import { join } from 'node:path'
import type { Settings } from '../config.ts'
import { openSigningKey } from '../keys/signing-key.ts'
import type { CheckpointOpening } from '../spool/protocol.ts'
import type { Log } from '../telemetry/log.ts'

/** Opens the key that checkpoints are signed with, before anything is recorded, and says which one it is. Throws KEY_INVALID. */
export function openCheckpoints({ checkpoint, data }: Settings, log: Log): CheckpointOpening {
  const { keyName, keyFile, everyRecords, everyMs } = checkpoint
  const named = keyFile === undefined ? {} : { file: keyFile }
  const key = openSigningKey({ ...named, keyName, dir: join(data, 'keys') })
  for (const warning of key.warnings) log('warn', warning)
  const text = key.made ? 'a key to sign checkpoints with was made' : 'checkpoints are signed'
  log('info', text, { verifierKey: key.verifierKey })
  return { keyName, privateKey: key.privateKey, everyRecords, everyMs }
}
