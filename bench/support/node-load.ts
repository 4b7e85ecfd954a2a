/** A load like bench/native/cmd/load, from one Node process: `node node-load.ts '<NodeLoadOptions>'` prints the same line of JSON. */
import { Agent, request } from 'node:http'
import { percentile } from './statistics.ts'

export interface NodeLoadOptions {
  readonly address: string
  readonly connections: number
  readonly seconds: number
  readonly model: string
  /** One after the other, counted as one request. */
  readonly calls: number
}

/** Node compiles what it has run some thousand times; that is not what is measured. */
const WARM_UP_SECONDS = 0.7
const BODY = '{"inputs":[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}'
const HEADERS = { 'content-type': 'application/json', 'content-length': BODY.length }

const options = JSON.parse(process.argv[2] ?? '') as NodeLoadOptions
const agent = new Agent({ keepAlive: true, maxSockets: options.connections })
await load(WARM_UP_SECONDS)
const startedMs = performance.now()
const tookUs = await load(options.seconds)
process.stdout.write(
  JSON.stringify({
    requests: tookUs.length,
    seconds: (performance.now() - startedMs) / 1_000,
    p50_us: percentile(tookUs, 0.5),
    p99_us: percentile(tookUs, 0.99),
  }),
)
agent.destroy()

async function load(seconds: number): Promise<readonly number[]> {
  const untilMs = performance.now() + seconds * 1_000
  const tookUs: number[] = []
  const one = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      const sentMs = performance.now()
      for (let call = 0; call < options.calls; call += 1) await ask()
      tookUs.push((performance.now() - sentMs) * 1_000)
    }
  }
  await Promise.all(Array.from({ length: options.connections }, one))
  return tookUs
}

function ask(): Promise<void> {
  return new Promise((resolve, reject) => {
    const [host, port] = options.address.split(':')
    const path = `/v2/models/${options.model}/infer`
    request({ agent, host, port, path, method: 'POST', headers: HEADERS }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`answer ${String(response.statusCode)}`))
      response.resume().once('end', resolve).once('error', reject)
    })
      .once('error', reject)
      .end(BODY)
  })
}
