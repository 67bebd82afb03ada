import { describe, expect, test } from '@jest/globals'
import { checkLine, type ParsedRecord } from '../../src/audit/chain.ts'
import { parseFilter, type Filter, type FilterText } from '../../src/readers/filter.ts'
import { accessOf, decisionOf, idOf, makeTrail, type Asked } from '../archive/trails.ts'

const now = new Date('2026-11-22T12:00:00Z')
const partner = 'spiffe://partner.example/ns/shop/sa/web'

function recordsOf(...asked: Asked[]): ParsedRecord[] {
  const events = asked.flatMap((one) => [decisionOf(one), accessOf(one)])
  return makeTrail({ trail: `web-0-${idOf(1)}`, stepMs: 60_000 }, events).map(({ line }) => {
    const checked = checkLine(line)
    if (!checked.ok) throw new Error(checked.problem)
    return checked.record
  })
}

function filterOf(text: FilterText): Filter {
  const parsed = parseFilter(text, now)
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.value
}

const records = recordsOf(
  { number: 1, path: '/orders/1', traceId: 'ab'.repeat(16) },
  { number: 2, path: '/admin', principal: partner, deny: 'TRUST_DOMAIN_UNKNOWN' },
  { number: 3, path: '/orders', destination: 'spiffe://cluster.local/ns/bank/sa/pay', deny: 'NO_MATCHING_RULE' },
  { number: 4, path: '/', principal: '' },
)

describe('a filter lets pass', () => {
  test.each<[FilterText, number[]]>([
    [{}, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    [{ effect: 'deny' }, [3, 4, 5, 6]],
    [{ reason: 'NO_MATCHING_RULE' }, [5, 6]],
    [{ reason: 'no_matching_rule,trust_domain_unknown' }, [3, 4, 5, 6]],
    [{ type: 'trail' }, [0]],
    [{ type: 'decision,trail' }, [0, 1, 3, 5, 7]],
    [{ principal: 'spiffe://cluster.local/ns/shop/sa/web' }, [1, 2, 5, 6]],
    [{ principal: 'spiffe://cluster.local/ns/shop/**' }, [1, 2, 5, 6]],
    [{ principal: 'spiffe://cluster.local/ns/sho/**' }, []],
    [{ principal: 'spiffe://partner.example/**' }, [3, 4]],
    [{ principal: 'shop/web' }, [1, 2, 5, 6]],
    [{ principal: 'shop/web@partner.example' }, [3, 4]],
    [{ principal: 'anonymous' }, [7, 8]],
    [{ destination: 'bank/pay' }, [5, 6]],
    [{ destination: 'Orders.Shop' }, [1, 2, 3, 4, 5, 6, 7, 8]],
    [{ pathPrefix: '/orders/' }, [1, 2]],
    [{ pathPrefix: '/orders' }, [1, 2, 5, 6]],
    [{ decision: idOf(3) }, [5, 6]],
    [{ trace: 'AB'.repeat(16) }, [1, 2]],
    [{ effect: 'deny', pathPrefix: '/orders' }, [5, 6]],
    [{ since: '2026-11-22T10:03:00Z' }, [3, 4, 5, 6, 7, 8]],
    [{ until: '2026-11-22T11:03:00+01:00' }, [0, 1, 2]],
    [{ since: '117m' }, [3, 4, 5, 6, 7, 8]],
    [{ since: '1h' }, []],
    [{ since: '2026-11-22', until: '2026-11-23' }, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    [{ until: '2026-11-22' }, []],
  ])('%j: the records %j', (text, expected) => {
    const filter = filterOf(text)
    expect(records.flatMap((record, index) => (filter.matches(record) ? [index] : []))).toEqual(expected)
  })

  test('nothing from a record whose data has other shapes', () => {
    const odd = { ...(records[1] as ParsedRecord), data: { subject: null, resource: [], effect: 7 } }
    for (const text of [{ effect: 'allow' }, { principal: 'x' }, { pathPrefix: '/' }, { destination: 'x' }]) {
      expect(filterOf(text).matches(odd)).toBe(false)
    }
  })
})

describe('the days that a filter opens', () => {
  test('are those between its times, and the last only where it has a part in them', () => {
    expect(filterOf({ since: '2d', until: '2026-11-22' }).days).toEqual({ from: '2026-11-20', to: '2026-11-21' })
    expect(filterOf({ until: '2026-11-22T00:00:01Z' }).days).toEqual({ to: '2026-11-22' })
    expect(filterOf({}).days).toEqual({})
  })
})

describe('a filter is refused with what is allowed', () => {
  test.each<[FilterText, string]>([
    [{ since: 'yesterday' }, '--since: "yesterday" is not a time'],
    [{ until: '2026-02-30' }, '--until: "2026-02-30" is not a time'],
    [{ since: '2026-11-22T25:00:00Z' }, 'is not a time'],
    [{ since: '2026-11-22T10:00:00' }, 'is not a time'],
    [{ since: '999999999w' }, 'is not a time'],
    [{ since: '1h', until: '2h' }, 'is not after --since'],
    [{ effect: 'maybe' }, '--effect: "maybe" is not one of allow, deny'],
    [{ reason: 'BECAUSE' }, '--reason: "BECAUSE" is not one of ALLOWED_BY_RULE'],
    [{ type: 'decisions' }, '--type: "decisions" is not one of decision, access'],
    [{ principal: 'spiffe://Upper/x' }, '--principal'],
    [{ principal: 'spiffe://cluster.local/*/x' }, 'the only wildcard'],
    [{ principal: 'shop/**' }, 'a SPIFFE ID begins with'],
    [{ destination: 'spiffe://cluster.local/a//b' }, '--destination'],
    [{ pathPrefix: 'orders' }, '--path-prefix: "orders" is not a path'],
    [{ decision: '42' }, '--decision: "42" is not a decision id'],
    [{ trace: 'xyz' }, '--trace: "xyz" is not a trace id'],
  ])('%j', (text, problem) => {
    const parsed = parseFilter(text, now)
    expect(parsed.ok ? '' : parsed.problem).toContain(problem)
  })
})
