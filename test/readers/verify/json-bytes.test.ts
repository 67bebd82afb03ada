import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isPlainJson } from '../../../src/readers/verify/json-bytes.ts'
import { decisionOf, decisions, idOf, makeTrail } from '../../archive/trails.ts'

const [, record] = makeTrail({ trail: `web-0-${idOf(1)}` }, [
  ...decisions(1),
  decisionOf({ number: 9, path: '/é\t"\\' }),
])

function saysYes(text: string | Buffer): boolean {
  const bytes = Buffer.from(text)
  return isPlainJson(bytes, 0, bytes.length)
}

function isParsed(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('the quick look at JSON', () => {
  test('says yes to what JSON.stringify makes of any object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 6 })), (value) => {
        expect(saysYes(JSON.stringify(value))).toBe(true)
      }),
    )
  })

  test('says yes to records', () => {
    expect(saysYes(record?.line ?? '')).toBe(true)
  })

  test('never says yes where JSON.parse throws, whatever byte of a record is another one', () => {
    const text = '{"a":[1,-2.5e+3,true,{"b":"\\u00e9\\n","c":null}],"d":{},"e":[],"f":"x","g":0}'
    for (let at = 0; at < text.length; at += 1) {
      for (let code = 1; code < 128; code += 1) {
        const changed = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1)
        if (saysYes(changed) && !isParsed(changed)) throw new Error(`says yes to ${JSON.stringify(changed)}`)
      }
      for (const cut of [text.slice(0, at), text.slice(0, at) + text.slice(at + 1), text + text.slice(at)]) {
        if (saysYes(cut) && !isParsed(cut)) throw new Error(`says yes to ${JSON.stringify(cut)}`)
      }
    }
  })

  test('never says yes where JSON.parse throws, whatever the text', () => {
    const part = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      'u',
      '0',
      '1',
      '-',
      '.',
      'e',
      '+',
      'true',
      'null',
      'a',
      ' ',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 14 }), (parts) => {
        const text = `{"a":${parts.join('')}}`
        if (saysYes(text)) expect(isParsed(text)).toBe(true)
      }),
      { numRuns: 20_000 },
    )
  })

  test('looks at nothing behind the end', () => {
    const bytes = Buffer.from('{"a":"b"}{"c":1}')
    expect(isPlainJson(bytes, 0, 9)).toBe(true)
    expect(isPlainJson(bytes, 0, 8)).toBe(false)
    expect(isPlainJson(bytes, 9, 16)).toBe(true)
    expect(isPlainJson(bytes, 9, 15)).toBe(false)
  })
})
