import { readFileSync } from 'node:fs'
import { CountersignError, messageOf } from '../../errors.ts'

export interface KafkaLogin {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

/** A login as the settings have it: with one of the two. */
export interface LoginSettings extends Omit<KafkaLogin, 'password'> {
  readonly password?: string | undefined
  readonly passwordFile?: string | undefined
}

/** Reads the password where a file holds it; a newline at its end is not part of it. `owner` is the setting that has the login. Throws CONFIG_INVALID. */
export function readLogin(owner: string, settings: LoginSettings): KafkaLogin {
  const { password = '', passwordFile, mechanism, username } = settings
  if (passwordFile === undefined) return { mechanism, username, password }
  try {
    return { mechanism, username, password: readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '') }
  } catch (thrown) {
    const message = `${owner}.sasl.passwordFile: ${messageOf(thrown)}`
    throw new CountersignError('CONFIG_INVALID', message, { cause: thrown })
  }
}

/** The login as a person is told it: `SCRAM-SHA-512 as audit`; undefined without one. Never the password. */
export function loginName(sasl: KafkaLogin | undefined): string | undefined {
  return sasl === undefined ? undefined : `${sasl.mechanism.toUpperCase()} as ${sasl.username}`
}
