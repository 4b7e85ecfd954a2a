import { SAMPLE_REQUEST, type SampleAnswer } from './sample.ts'
import { type MeshPorts, standardPorts } from './ports.ts'

export interface SampleOutcome {
  readonly model: string
  readonly answers: readonly SampleAnswer[]
}

/** What a person wants to know when everything runs. Pure. */
export function summaryText(options: {
  readonly host: string
  readonly ports: MeshPorts
  readonly logsDir: string
  readonly sample: SampleOutcome | undefined
}): string {
  const { host, ports, sample } = options
  const at = (port: number | undefined): string => `${host}:${String(port ?? 0)}`
  const envoy = ports.envoys[0]
  const ingress = `http://${at(ports.ingress)}`
  const offset = ports.schedulerGrpc - standardPorts(0, 0).schedulerGrpc
  const client = `npx millrace${offset === 0 ? '' : ` --port-offset ${String(offset)}`}`
  const tryLines = [
    ...(sample
      ? [
          `curl -s ${ingress}/v2/models/${sample.model}/infer -H 'content-type: application/json' -d @${SAMPLE_REQUEST}`,
          `curl -s ${ingress}/v2/models/${sample.model}`,
        ]
      : []),
    `${client} get models`,
    ...(sample ? [`${client} describe model ${sample.model}`] : []),
  ]
  return [
    ...(sample?.answers ?? []).flatMap(({ protocol, response }) => [
      `${sample?.model ?? ''} by ${protocol === 'rest' ? 'REST' : 'gRPC'}: ${response}`,
    ]),
    '',
    'Try:',
    ...tryLines.map((line) => `  ${line}`),
    '',
    'Addresses:',
    `  inference, REST and gRPC   ${ingress}`,
    `  scheduler, gRPC            ${at(ports.schedulerGrpc)}`,
    `  metrics                    http://${at(envoy?.metrics)}/metrics`,
    `  Envoy admin                http://${at(envoy?.admin)}`,
    `  logs                       ${options.logsDir}`,
    '',
  ].join('\n')
}
