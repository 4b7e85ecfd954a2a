import { SAMPLE_REQUEST, type SampleAnswer } from './sample.ts'
import { processFlags } from './process-flags.ts'
import { type MeshSecurity, toCallerFlags } from './security.ts'
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
  readonly security: MeshSecurity
  readonly sample: SampleOutcome | undefined
}): string {
  const { host, ports, sample } = options
  const at = (port: number | undefined): string => `${host}:${String(port ?? 0)}`
  const envoy = ports.envoys[0]
  const { tls } = options.security
  const ingress = `${tls?.ingress === true ? 'https' : 'http'}://${at(ports.ingress)}`
  const curl = `curl -s${tls?.ingress === true ? ` --cacert ${tls.ca}` : ''}`
  const callerWords = processFlags(toCallerFlags(options.security, 'with token'))
  const offset = ports.schedulerGrpc - standardPorts(0, 0).schedulerGrpc
  const client = ['npx millrace', ...(offset === 0 ? [] : [`--port-offset ${String(offset)}`]), ...callerWords].join(
    ' ',
  )
  const tryLines = [
    ...(sample
      ? [
          `${curl} ${ingress}/v2/models/${sample.model}/infer -H 'content-type: application/json' -d @${SAMPLE_REQUEST}`,
          `${curl} ${ingress}/v2/models/${sample.model}`,
        ]
      : []),
    `${client} get models`,
    ...(sample ? [`${client} describe model ${sample.model}`] : []),
  ]
  return [
    ...(sample?.answers ?? []).map(
      ({ of, protocol, response }) => `${of} by ${protocol === 'rest' ? 'REST' : 'gRPC'}: ${response}`,
    ),
    '',
    'Try:',
    ...tryLines.map((line) => `  ${line}`),
    '',
    'Addresses:',
    `  inference, REST and gRPC   ${ingress}`,
    `  scheduler, gRPC            ${at(ports.schedulerGrpc)}`,
    `  metrics                    ${tls === undefined ? 'http' : 'https'}://${at(envoy?.metrics)}/metrics`,
    `  Envoy admin                http://${at(envoy?.admin)}`,
    ...(ports.kafka === undefined ? [] : [`  Kafka                      ${at(ports.kafka.broker)}`]),
    `  logs                       ${options.logsDir}`,
    '',
  ].join('\n')
}
