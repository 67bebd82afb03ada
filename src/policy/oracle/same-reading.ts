import { newModel, newModelFromString } from 'casbin'
import { messageOf } from '../../errors.ts'
import type { PolicyModel } from '../policy-model.ts'

/** What is wrong where Casbin refuses a model or reads it otherwise than it was checked; undefined where it does neither. */
export function readingProblem({ text, definitions }: PolicyModel): string | undefined {
  try {
    const model = newModelFromString(text).model
    const count = [...model.values()].reduce((sum, section) => sum + section.size, 0)
    if (count !== definitions.length) {
      return `Casbin reads ${String(count)} definitions where ${String(definitions.length)} were checked`
    }
    const expected = newModel()
    for (const { section, key, value } of definitions) expected.addDef(section, key, value)
    const other = definitions.find(({ section, key }) => {
      return model.get(section)?.get(key)?.value !== expected.model.get(section)?.get(key)?.value
    })
    return other && `Casbin reads the definition "${other.key}" otherwise than it was checked`
  } catch (thrown) {
    return `Casbin refuses the model: ${messageOf(thrown)}`
  }
}
