import { describe, expect, test } from '@jest/globals'
import type { PolicyRequest } from '../../src/decision/rule-set.ts'
import { loadPolicy } from '../../src/policy/load.ts'

const account = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`
const [web, report, other] = [account('web'), account('report'), account('other')]

/** As Envoy asks: gRPC has a path and a method too. */
const http = (sub: string, act: string, obj: string): PolicyRequest => ({
  sub,
  protocol: 'http',
  act,
  obj,
  port: '8080',
})
const grpc = (sub: string, rpc: string): PolicyRequest => ({ sub, protocol: 'grpc', act: 'POST', obj: `/${rpc}`, rpc })
const tcp = (sub: string): PolicyRequest => ({ sub, protocol: 'tcp', port: '5432' })

const cases: [string, PolicyRequest, 'allow' | 'deny', string | null, string[]][] = [
  ['web reads an order', http(web, 'GET', '/orders/1'), 'allow', 'orders-reader', ['orders-writer', 'orders-reader']],
  ['web makes an order', http(web, 'POST', '/orders'), 'allow', 'orders-writer', ['orders-writer']],
  ['web removes an order', http(web, 'DELETE', '/orders/1'), 'deny', null, []],
  ['web reads something else', http(web, 'GET', '/orders/1/items'), 'deny', null, []],
  ['report reads an order', http(report, 'GET', '/orders/1'), 'allow', 'orders-reader', ['orders-reader']],
  ['report makes an order', http(report, 'POST', '/orders'), 'deny', null, []],
  ['a stranger reads an order', http(other, 'GET', '/orders/1'), 'deny', null, []],
  ['somebody without a certificate reads an order', http('anonymous', 'GET', '/orders/1'), 'deny', null, []],
  ['somebody who calls himself as the rules do', http('*', 'GET', '/orders/1'), 'deny', null, []],
  ['web touches /admin', http(web, 'GET', '/admin'), 'deny', '/admin/**', []],
  ['web touches something below /admin', http(web, 'PUT', '/admin/users/1'), 'deny', '/admin/**', []],
  ['anonymous touches /admin', http('anonymous', 'GET', '/admin/'), 'deny', '/admin/**', []],
  ['web calls the gRPC method', grpc(web, 'shop.Orders/Get'), 'allow', 'grpc', ['orders-writer']],
  ['web calls another gRPC method', grpc(web, 'shop.Orders/Delete'), 'deny', null, []],
  ['report calls the gRPC method', grpc(report, 'shop.Orders/Get'), 'deny', null, []],
  ['web connects by TCP', tcp(web), 'allow', 'tcp', ['orders-writer']],
  ['report connects by TCP', tcp(report), 'deny', null, []],
]

describe('the example policy', () => {
  test.each(cases)('%s', async (_title, request, effect, rule, roles) => {
    const loaded = await loadPolicy('deploy/envoy/policy')
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const evaluation = loaded.ruleSet.evaluate(request)
    expect(evaluation).toMatchObject({ effect, roles })
    expect(evaluation.rule?.text ?? null).toEqual(rule === null ? null : expect.stringContaining(rule))
  })
})
