import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { CountersignError } from '../../../src/errors.ts'
import type { OpenSpool } from '../../../src/readers/source.ts'
import { Expectations } from '../../../src/readers/verify/expectation.ts'
import { verifyFolder } from '../../../src/readers/verify/verify-folder.ts'
import type { Verification } from '../../../src/readers/verify/verify.ts'
import { decisions, idOf, makeTrail, type MadeRecord } from '../../archive/trails.ts'
import { TestData, textOf } from '../data-folder.ts'

// The spool is read in pages of 512 records.
const trail = `web-0-${idOf(1)}`
const records = makeTrail({ trail }, decisions(1499))
let data: TestData

beforeEach(() => {
  data = new TestData()
})

afterEach(() => {
  data[Symbol.dispose]()
})

function verify(expectations = new Expectations(), openSpool: OpenSpool = data.openSpool): Promise<Verification> {
  return verifyFolder(data.dir, { expectations, threads: 0 }, openSpool)
}

/** Calls `change` before the page behind the first 512 records is read. */
function beforeSecondPage(change: () => void): void {
  let done = false
  data.onSpoolRead = (position) => {
    if (done || position !== (records[511] as MadeRecord).position) return
    done = true
    change()
  }
}

describe('records that move from the spool to the archive while the spool is read', () => {
  test.each([200, 512, 900, 1300, 1500])('are met, and are not doubled: the first %i', async (moved) => {
    data.spooled = records
    beforeSecondPage(() => {
      data.segment(trail, 1, textOf(records.slice(0, moved)))
      data.spooled = records.slice(moved)
    })
    expect(await verify()).toMatchObject({ verdict: 'whole', totals: { records: 1500, segments: 1 } })
    expect(data.spooled).toHaveLength(1500 - moved)
  })

  test('are found bad where they stand then', async () => {
    data.spooled = records
    beforeSecondPage(() => {
      data.segment(trail, 1, textOf(records.slice(0, 900)).replace('"/orders/700"', '"/orders/701"'))
      data.spooled = records.slice(900)
    })
    const name = `archive/2026-11-22/${trail}.0000000000000001.ndjson`
    expect((await verify()).first).toMatchObject({ kind: 'altered', file: name, sequence: 702 })
  })

  test('may come to stand behind a sealed segment', async () => {
    data.spooled = records
    data.segment(trail, 1, textOf(records.slice(0, 100)))
    await data.seal()
    beforeSecondPage(() => {
      data.segment(trail, 101, textOf(records.slice(100, 900)))
      data.spooled = records.slice(900)
    })
    expect(await verify()).toMatchObject({ verdict: 'whole', totals: { records: 1500, segments: 2 } })
  })
})

describe('a spool without an archive, of which rows are freed while it is read', () => {
  test('is verified from the first that is left then', async () => {
    data.spooled = records
    beforeSecondPage(() => {
      data.spooled = records.slice(900)
    })
    const expectations = new Expectations()
    const { sequence: size, hash, position } = records[800] as MadeRecord
    const place = { source: 'state', file: 'spool', line: position } as const
    expectations.add(trail, { size, hash, from: 'state', by: 'an earlier run', place })
    const result = await verify(expectations)
    expect(result).toMatchObject({ bad: [], trails: [{ firstSequence: 901, lastSequence: 1500, records: 600 }] })
  })

  test('is broken where rows are missing that were not freed', async () => {
    data.spooled = records
    beforeSecondPage(() => {
      data.spooled = [...records.slice(0, 512), ...records.slice(900)]
    })
    expect((await verify()).first).toMatchObject({ kind: 'missing', sequence: 513, toSequence: 900, file: 'spool' })
  })
})

describe('a damaged spool', () => {
  const damage = new CountersignError('SPOOL_DAMAGED', 'database disk image is malformed')

  function failing(from: number): OpenSpool {
    return (dir) => {
      const spool = data.openSpool(dir)
      return (
        spool && {
          ...spool,
          after: (position, limit) => {
            if (position >= from) throw damage
            return spool.after(position, limit)
          },
        }
      )
    }
  }

  test('does not keep the archive from being verified, and is named where it stops', async () => {
    data.segment(trail, 1, textOf(records.slice(0, 900)))
    data.spooled = records
    const { position } = records[511] as MadeRecord
    const result = await verify(new Expectations(), failing(position))
    expect(result).toMatchObject({ verdict: 'broken', totals: { records: 900 }, trails: [{ lastSequence: 900 }] })
    expect(result.bad).toEqual([
      expect.objectContaining({ kind: 'malformed', trail: null, file: 'spool', line: position + 1 }),
    ])
    expect(result.first?.problem).toContain('database disk image is malformed')
  })

  test('does not hide what is bad in the archive', async () => {
    const name = data.segment(trail, 1, textOf(records.slice(0, 20)).replace('"/orders/7"', '"/orders/8"'))
    data.spooled = records
    const { bad } = await verify(new Expectations(), failing((records[511] as MadeRecord).position))
    expect(bad.map(({ kind, file }) => ({ kind, file }))).toEqual([
      { kind: 'altered', file: name },
      { kind: 'malformed', file: 'spool' },
    ])
  })

  test.each([
    [
      'cannot be opened',
      () => {
        throw damage
      },
    ],
    ['cannot be read at all', failing(0)],
    [
      'does not tell how far sinks have got',
      () => ({
        after: () => [],
        cursor: () => {
          throw damage
        },
        close: () => undefined,
      }),
    ],
  ] satisfies [string, OpenSpool | (() => ReturnType<OpenSpool>)][])('that %s is a problem', async (_, openSpool) => {
    data.segment(trail, 1, textOf(records.slice(0, 20)))
    data.spooled = records
    const result = await verify(new Expectations(), openSpool)
    expect(result).toMatchObject({ verdict: 'broken', totals: { records: 20 } })
    expect(result.bad).toEqual([expect.objectContaining({ kind: 'malformed', file: 'spool', line: 1 })])
  })

  test('that fails otherwise is not judged', async () => {
    const fault = new CountersignError('SPOOL_FAILED', 'no right to read it')
    const openSpool = (): never => {
      throw fault
    }
    await expect(verify(new Expectations(), openSpool)).rejects.toBe(fault)
  })
})
