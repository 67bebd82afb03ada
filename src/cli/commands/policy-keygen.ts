import { rmSync } from 'node:fs'
import { Command } from 'commander'
import { CountersignError, messageOf } from '../../errors.ts'
import { writeDurably } from '../../keys/durable-file.ts'
import { newSigningKey } from '../../policy/source/manifest-keys.ts'
import { commanderOutput, exitByUsage, visible, type Io } from '../print.ts'

const examples = `
Makes FILE (the private key, mode 0600) and FILE.pub (the public key). Nothing is overwritten. Keep the private key where
policies are signed, and list the public key in the setting policy.signers of every server.

Example:
  countersign policy keygen policy-key.pem

Exit status: 0 made, 2 usage, or files that cannot be written.`

/** `countersign policy keygen FILE`: makes an Ed25519 key pair to sign policies with. Throws USAGE where a file cannot be made. */
export function policyKeygenCommand(io: Io): Command {
  return new Command('keygen')
    .description('make a key pair to sign policies with')
    .argument('<file>', 'where the private key is written; the public key beside it, with .pub')
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action((file: string) => {
      const { privatePem, publicPem, keyId } = newSigningKey()
      writeNew(file, privatePem, 0o600)
      try {
        writeNew(`${file}.pub`, publicPem, 0o644)
      } catch (fault) {
        rmSync(file)
        throw fault
      }
      const rows = [
        ['private', `${file}  (keep it secret: sign with --key ${file})`],
        ['public', `${file}.pub  (list it in policy.signers)`],
        ['key', keyId],
      ]
      io.out(rows.map(([name = '', text = '']) => `${name.padEnd(8)}  ${visible(text)}`).join('\n'))
    })
}

function writeNew(path: string, text: string, mode: number): void {
  try {
    writeDurably(path, text, mode)
  } catch (fault) {
    throw new CountersignError('USAGE', `${path} cannot be made: ${messageOf(fault)}`, { cause: fault })
  }
}
