import type { PolicyRequest, PolicyToken } from '../../decision/rule-set.ts'
import { Members } from './members.ts'
import type { AskedPolicy } from './plain-casbin.ts'
import { SeededRandom } from './random.ts'
import { Solver } from './solve.ts'

/**
 * Requests made from the rules, at most `count`, none twice: for rules that are spread evenly over the policy, one that the
 * rule should match and one that just misses it (another value or none in place of one token). The same for the same seed.
 */
export function deriveRequests(policy: AskedPolicy, seed: string, count: number): readonly PolicyRequest[] {
  const random = new SeededRandom(seed)
  const rules = policy.rows.filter(({ type }) => type === 'p')
  const solver = new Solver(policy.model, new Members(policy.rows), random)
  const requests = new Map<string, PolicyRequest>()
  const add = (request: PolicyRequest) => {
    const ordered = inOrder(request, policy.model.tokens)
    requests.set(JSON.stringify(ordered), ordered)
  }
  let before: PolicyRequest = {}
  const some = spread(rules, count)
  // A small policy is gone through many times: members, alternatives and misses are others each time.
  for (let tried = 0; tried < count && requests.size < count; tried += Math.max(1, some.length)) {
    for (const { values } of random.shuffled(some)) {
      const request = Object.fromEntries(solver.solve(values)) as PolicyRequest
      add(request)
      add(nearMiss(request, before, policy.model.tokens, random))
      before = request
      if (requests.size >= count) break
    }
  }
  return [...requests.values()].slice(0, count)
}

/** At most `count` of the items, at even distances. */
function spread<T>(items: readonly T[], count: number): readonly T[] {
  if (items.length <= count) return items
  return Array.from({ length: count }, (_, index) => items[Math.floor((index * items.length) / count)] as T)
}

function nearMiss(
  request: PolicyRequest,
  other: PolicyRequest,
  tokens: readonly PolicyToken[],
  random: SeededRandom,
): PolicyRequest {
  const token = random.pick(tokens)
  if (token === undefined) return request
  const { [token]: value, ...rest } = request
  const kind = random.below(3)
  if (kind === 0) return rest
  const replaced = kind === 1 ? (other[token] ?? 'other') : `${value ?? ''}x`
  return { ...rest, [token]: replaced }
}

function inOrder(request: PolicyRequest, tokens: readonly PolicyToken[]): PolicyRequest {
  const present = tokens.filter((token) => request[token] !== undefined)
  return Object.fromEntries(present.map((token) => [token, request[token]]))
}
