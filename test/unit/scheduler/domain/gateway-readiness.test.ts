import { expect, it } from 'vitest'
import { type GatewayProgress, readyGateways } from '../../../../scheduler/domain/pipeline/gateway-readiness.ts'

const complete: Omit<GatewayProgress, 'name'> = {
  connected: true,
  expected: true,
  wasReady: false,
  missing: 0,
  unanswered: 0,
}
const loading = { ...complete, missing: 2, unanswered: 1 }
const failed = { ...complete, missing: 1, unanswered: 0 }
const away = { ...complete, connected: false, wasReady: true }
const gone = { ...away, expected: false }

it.each<[string, Readonly<Record<string, Omit<GatewayProgress, 'name'>>>, readonly string[]]>([
  ['a gateway that has everything is chosen', { a: complete }, ['a']],
  ['one that still loads what serves is not', { a: complete, b: loading }, ['a']],
  ['one that failed a pipeline is not, while another has it all', { a: complete, b: failed }, ['a']],
  ['one that failed a pipeline is chosen when nobody has it all', { a: failed, b: loading }, ['a']],
  ['one that was lost a moment ago stays', { a: complete, b: away }, ['a', 'b']],
  ['one that is lost for longer goes while another answers', { a: complete, b: gone }, ['a']],
  ['the last one stays, however long it is lost', { a: gone }, ['a']],
  ['one that never was ready does not get in by being away', { a: { ...away, wasReady: false } }, []],
  ['nobody is chosen before it has answered', { a: loading }, []],
])('%s', (_name, gateways, ready) => {
  const progress = Object.entries(gateways).map(([name, fields]) => ({ name, ...fields }))
  expect([...readyGateways(progress)].toSorted()).toEqual(ready)
})
