import type { Definition } from '../parse/parse-model.ts'
import type { PolicyModel } from '../policy-model.ts'

/** A definition of model.conf that differs. */
export interface ModelChange {
  /** `r`, `p`, `g`, `g2`…, `e`, `m`. */
  readonly definition: string
  readonly a: PlacedDefinition | null
  readonly b: PlacedDefinition | null
}

export interface PlacedDefinition {
  readonly line: number
  readonly value: string
}

/** Compares two models definition by definition. Spaces between words are no difference. */
export function diffModels(a: PolicyModel, b: PolicyModel): readonly ModelChange[] {
  const [inA, inB] = [a, b].map(({ definitions }) => new Map(definitions.map((one) => [one.key, one])))
  const keys = new Set([...(inA?.keys() ?? []), ...(inB?.keys() ?? [])])
  return [...keys]
    .map((key) => ({ definition: key, a: placed(inA?.get(key)), b: placed(inB?.get(key)) }))
    .filter((change) => change.a?.value !== change.b?.value)
}

function placed(definition: Definition | undefined): PlacedDefinition | null {
  if (definition === undefined) return null
  return { line: definition.line, value: definition.value.replace(/\s+/g, ' ') }
}
