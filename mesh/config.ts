import { type Static, Type } from 'typebox'
import type { ProcessDefinition } from '../kit/config.ts'
import { hostOption, logLevelOption, portOption } from '../kit/options.ts'
import { callerOptions, listenerOptions } from '../kit/security.ts'

const schema = Type.Object(
  {
    host: hostOption,
    ...listenerOptions,
    ...callerOptions,
    httpPort: portOption(9003, 'Port for /metrics, /ready and /healthz.'),
    adminUrl: Type.String({
      pattern: '^https?://',
      default: 'http://127.0.0.1:9901',
      description: "Envoy's admin port.",
    }),
    scheduler: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Address of the scheduler for agents, told what Envoy measures of the candidates of rollouts; absent: they get no data.',
      }),
    ),
    measureIntervalMs: Type.Integer({
      minimum: 100,
      default: 1_000,
      description:
        'Pause between two reports to the scheduler; Envoy is read for one only while something is measured.',
    }),
    scrapeDeadlineMs: Type.Integer({ minimum: 10, default: 5_000, description: 'How long Envoy may take to answer.' }),
    maxAnswerBytes: Type.Integer({
      minimum: 1_000,
      default: 64 * 1024 * 1024,
      description: 'Largest answer that is read from Envoy.',
    }),
    logLevel: logLevelOption,
  },
  { additionalProperties: false },
)

export type MeshMetricsConfig = Readonly<Static<typeof schema>>

export const meshMetricsProcess: ProcessDefinition<typeof schema> = {
  name: 'mesh-metrics',
  summary: 'Beside one Envoy: its metrics under the names that users know, for Prometheus.',
  schema,
}
