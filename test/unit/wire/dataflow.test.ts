import { describe, expect, it } from 'vitest'
import type { GatewayMessage } from '../../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { SchedulerMessage } from '../../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { Dataflow } from '../../../api/grpc.ts'

const { requestSerialize, responseSerialize, requestDeserialize } = Dataflow.service.Subscribe

/** A gateway of one version speaks to a scheduler of another: what a field's number and type are stays as it is. */
describe('the bytes of the API for gateways', () => {
  it('an introduction', () => {
    const message: GatewayMessage = {
      introduction: {
        name: 'g',
        address: '::1',
        restPort: 1,
        grpcPort: 2,
        hasJournal: true,
        held: [held('p', 3, 'u')],
      },
    }
    expect(requestSerialize(message).toString('hex')).toBe('0a180a01671a033a3a312001280230013a080a017010031a0175')
  })

  it('a report, whose state is LOADED unless it says otherwise', () => {
    const bytes = requestSerialize({ report: { pipeline: 'p', version: 3, uid: 'u' } })
    expect(bytes.toString('hex')).toBe('12080a017010031a0175')
    expect(requestDeserialize(bytes)).toMatchObject({ message: 'report', report: { state: 'LOADED', reason: '' } })
  })

  it.each<[string, SchedulerMessage, string]>([
    ['a load', { load: { pipeline: 'p', version: 3, uid: 'u', specJson: '{}' } }, '0a0c0a017010031a017522027b7d'],
    ['an unload', { unload: { pipeline: 'p', version: 3, keepTopics: true } }, '12070a017010031801'],
    ['the end of what is to be held', { synchronised: { held: [held('p', 3, 'u')] } }, '1a0a0a080a017010031a0175'],
    ['what serves', { serve: held('p', 3, 'u') }, '32080a017010031a0175'],
  ])('%s', (_name, message, hex) => {
    expect(responseSerialize(message).toString('hex')).toBe(hex)
  })
})

function held(pipeline: string, version: number, uid: string) {
  return { pipeline, version, uid }
}
