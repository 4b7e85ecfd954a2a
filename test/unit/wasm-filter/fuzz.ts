/**
 * Mutated requests against the compiled filters. Whatever comes, no module traps or grows without bound, and whatever the router
 * lets through is a call on the list, with a target that is a name: judged here by other means than in the filter.
 */
import { shardOf } from '../../../xds/translate/shard.ts'
import { compileFilter } from '../../support/compile-filter.ts'
import { ProxyHost, type FilterModule, type Header } from '../../../wasm-filter/host/proxy-host.ts'
import {
  routedBy,
  runStream,
  type StreamRequest,
  type StreamResult,
  valueOf,
} from '../../../wasm-filter/host/stream.ts'
import { concat, cut, field, frame } from '../../support/grpc-frames.ts'
import { Random } from './random.ts'

export interface FuzzOptions {
  readonly cases: number
  readonly seed: number
}

export interface FuzzReport {
  /** Requests that the router let through; a run in which this is 0 has proved little. */
  readonly admitted: number
  readonly refused: number
}

const MODULES = ['router', 'rename-rest', 'rename-grpc', 'mirror'] as const satisfies readonly FilterModule[]
const TABLE = `shards 256
max_models 50
split iris a 1 b 1 p.pipeline 0
seed exp
sticky x-user
measured
match p.pipeline x-beta prefix a%20
mirrored
`
const MEMORY_MAX_BYTES = 16 * 1024 * 1024

/** Runs the cases; throws at the first that breaks a rule, naming the seed and case that repeat it. */
export function fuzzFilters({ cases, seed }: FuzzOptions): FuzzReport {
  const hosts = new Map(MODULES.map((name) => [name, new ProxyHost(compileFilter(name))]))
  hosts.get('router')?.configure(TABLE)
  let admitted = 0
  for (let number = 0; number < cases; number++) {
    const request = mutatedRequest(new Random(seed + number * 7919))
    for (const [name, host] of hosts) {
      try {
        const result = runStream(host, request)
        if (name === 'router' && checkRouted(request, result)) admitted++
        if (host.memoryBytes > MEMORY_MAX_BYTES)
          throw new Error(`memory has grown to ${String(host.memoryBytes)} bytes`)
      } catch (error) {
        throw new Error(`${name}: case ${String(number)} of seed ${String(seed)}: ${describe(request)}`, {
          cause: error,
        })
      }
    }
  }
  return { admitted, refused: cases - admitted }
}

const NAME = '[A-Za-z0-9][A-Za-z0-9._-]*'
const VERSION = `(/versions/${NAME})?`
const ADMITTED_READ = new RegExp(
  `^(GET|HEAD) (/ready|/v2|/v2/health/ready|/v2/(models|pipelines)/[^/?#]+${VERSION}(/ready)?)(\\?.*)?$`,
  's',
)
const ADMITTED_WRITE = new RegExp(
  `^POST /v2/(models|pipelines)/[^/?#]+${VERSION}/(infer|infer_stream|generate|generate_stream)(\\?.*)?$`,
  's',
)
const ADMITTED_GRPC =
  /^\/inference\.GRPCInferenceService\/(Model(Infer|StreamInfer|Metadata|Ready)|Server(Live|Ready|Metadata))$/
const TARGET = new RegExp(`^(${NAME}|_|_mesh|_ready)$`)

/** Whether the request was let through; throws when it should not have been, or not with these headers. */
function checkRouted(request: StreamRequest, { headers, localReply, held }: StreamResult): boolean {
  if (localReply !== undefined || held) return false
  const { target, shard } = routedBy(headers) ?? { target: '', shard: -1 }
  if (!TARGET.test(target) || target.length > 74)
    throw new Error(`let through with the target ${JSON.stringify(target)}`)
  if (shard !== shardOf(target, 256)) throw new Error('wrong shard')
  if (headers.filter(([key]) => key === 'x-millrace-target').length !== 1) throw new Error('more than one target')
  if (valueOf(headers, 'seldon-internal-model') !== undefined) throw new Error('a forged internal name passed')
  const mirror = headers.filter(([name]) => name === 'x-millrace-mirror').map(([, value]) => value)
  if (mirror.join() !== (/^(a|b|p\.pipeline)$/.test(target) && mirror.length > 0 ? 'iris' : ''))
    throw new Error(`mirrored: ${mirror.join()}`)
  const path = valueOf(request.headers, ':path') ?? ''
  const line = `${valueOf(request.headers, ':method') ?? ''} ${path}`
  const grpc = /^application\/grpc([+; ]|$)/.test(valueOf(request.headers, 'content-type') ?? '')
  const allowed = grpc ? ADMITTED_GRPC.test(path) : ADMITTED_READ.test(line) || ADMITTED_WRITE.test(line)
  if (!allowed) throw new Error(`let through: ${line}`)
  return true
}

function describe(request: StreamRequest): string {
  const body = Buffer.concat(request.chunks ?? []).subarray(0, 64)
  return `${JSON.stringify(request.headers)} body ${body.toString('hex')}`
}

const PATHS = [
  '/v2/models/iris/infer',
  '/v2/models/iris/versions/2/infer',
  '/v2/models/iris/infer?x=1',
  '/v2/models/%69ris/ready',
  '/v2/models/iris',
  '/v2/pipelines/p/infer',
  '/v2/repository/models/iris/unload',
  '/v2/repository/index',
  '/v2/health/live',
  '/v2/health/ready',
  '/v2',
  '/ready',
  '/inference.GRPCInferenceService/ModelInfer',
  '/inference.GRPCInferenceService/ModelStreamInfer',
  '/inference.GRPCInferenceService/ServerReady',
  '/inference.GRPCInferenceService/RepositoryModelUnload',
]
const PIECES = [
  '/',
  '..',
  '%2e%2e',
  '%2f',
  '%00',
  '%',
  '?',
  '#',
  ';',
  '//',
  'repository',
  'models',
  'iris',
  '_mesh',
  '\u0000',
  '\u00ff',
  'a'.repeat(70),
]
const INTERNAL_HEADERS = ['x-millrace-mirror', 'x-millrace-target', 'seldon-internal-model']

function mutateText(random: Random, text: string): string {
  let mutated = text
  while (random.chance(40)) {
    const at = random.below(mutated.length + 1)
    const removed = random.below(4)
    const inserted = random.chance(60) ? random.pick(PIECES) : String.fromCharCode(random.below(256))
    mutated = mutated.slice(0, at) + (random.chance(70) ? inserted : '') + mutated.slice(at + removed)
  }
  return mutated
}

function mutatedRequest(random: Random): StreamRequest {
  const headers: Header[] = [
    [':method', random.chance(90) ? random.pick(['POST', 'GET']) : mutateText(random, 'HEAD')],
    [':path', mutateText(random, random.pick(PATHS))],
  ]
  if (random.chance(50)) headers.push(['content-type', mutateText(random, 'application/grpc')])
  while (random.chance(30))
    headers.push(['seldon-model', mutateText(random, random.pick(['iris', 'p.pipeline', 'a,b', '']))])
  while (random.chance(20)) headers.push([random.pick(INTERNAL_HEADERS), mutateText(random, 'iris_3')])
  if (random.chance(10)) headers.push([mutateText(random, 'x-other'), mutateText(random, 'x')])
  if (random.chance(30)) headers.push(['content-length', '5'])
  while (random.chance(30))
    headers.push(['x-seldon-route', mutateText(random, random.pick([':a_1:', ':p.pipeline: :b_2:']))])
  if (random.chance(30)) headers.push(['x-user', mutateText(random, 'u')])
  if (random.chance(10)) headers.push(['x-beta', mutateText(random, 'a b')])
  if (random.chance(2)) headers.push(['cookie', 'c'.repeat(random.below(200_000))])
  const answered = {
    headers: [
      [':status', mutateText(random, '200')],
      ['x-seldon-route', mutateText(random, ':iris_3:')],
    ] satisfies Header[],
  }
  return random.chance(20) ? { headers, answered } : { headers, chunks: mutatedBody(random), answered }
}

function mutatedBody(random: Random): Uint8Array[] {
  const parts: Uint8Array[] = []
  do {
    const name = field(1, mutateText(random, 'iris'))
    const contents = field(7, Buffer.alloc(random.chance(5) ? random.below(200_000) : random.below(50)))
    const fields = random.chance(50) ? [name, contents] : [contents, field(2, '1'), name]
    parts.push(frame(concat(...fields.slice(random.below(2))), random.chance(5) ? random.below(256) : 0))
  } while (random.chance(30))
  const bytes = Buffer.from(concat(...parts))
  for (let flips = random.below(4); flips > 0; flips--)
    bytes[random.below(Math.min(bytes.length, random.chance(70) ? 24 : bytes.length))] = random.pick([
      0,
      1,
      0x7f,
      0x80,
      0xff,
      random.below(256),
    ])
  const whole = random.chance(20) ? bytes.subarray(0, random.below(bytes.length)) : bytes
  const sizes =
    whole.length > 5_000
      ? [16_384, 1 + random.below(70_000)]
      : [1 + random.below(9), 1 + random.below(whole.length + 1)]
  return cut(whole, ...sizes)
}
