import { messageOf } from '../../errors.ts'
import { casbinFunctions } from '../oracle/casbin.ts'
import type { Segment } from './segments.ts'

export function globProblem(pattern: string): string | undefined {
  try {
    casbinFunctions.globMatch('/', pattern)
    return undefined
  } catch (fault) {
    return messageOf(fault)
  }
}

/** `globMatch`. */
export function compileGlobMatch(pattern: string): (value: string) => boolean {
  return (value) => casbinFunctions.globMatch(value, pattern)
}

export function globPrefix(_pattern: string): readonly Segment[] {
  return [{ kind: 'rest' }]
}
