import { describe, expect, test } from '@jest/globals'
import { parseSpiffeId } from '../../src/identity/spiffe-id.ts'

describe('parseSpiffeId', () => {
  test('reads an id of Istio’s form', () => {
    expect(parseSpiffeId('spiffe://cluster.local/ns/shop/sa/web')).toMatchObject({
      ok: true,
      value: { trustDomain: 'cluster.local', path: '/ns/shop/sa/web' },
    })
  })
})
