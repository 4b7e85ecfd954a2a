import { SAMPLE_REQUEST, type SampleAnswer } from './sample.ts'
import type { MeshPorts } from './ports.ts'

/** What a person wants to know when everything runs. Pure. */
export function summaryText(options: {
  readonly host: string
  readonly ports: MeshPorts
  readonly logsDir: string
  readonly sample: { readonly model: string; readonly answers: readonly SampleAnswer[] } | undefined
}): string {
  const { host, ports, sample } = options
  const at = (port: number | undefined): string => `${host}:${String(port ?? 0)}`
  const envoy = ports.envoys[0]
  const ingress = `http://${at(envoy?.ingress)}`
  const client = ports.schedulerGrpc === 9004 ? '' : ` --scheduler ${at(ports.schedulerGrpc)}`
  const tryLines = [
    ...(sample
      ? [
          `curl -s ${ingress}/v2/models/${sample.model}/infer -H 'content-type: application/json' -d @${SAMPLE_REQUEST}`,
          `curl -s ${ingress}/v2/models/${sample.model}`,
        ]
      : []),
    `npx millrace get models${client}`,
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
