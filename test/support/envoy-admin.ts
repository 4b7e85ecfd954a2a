/** What a real Envoy says of itself on its admin port. */

/** How many targets its route tables name, those of ours included. */
export async function countRoutes(adminPort: number): Promise<number> {
  const dump = (await (await ask(adminPort, '/config_dump?resource=dynamic_route_configs')).json()) as RoutesDump
  return dump.configs
    .flatMap(({ route_config: { virtual_hosts: hosts } }) => hosts)
    .map((host) => Object.keys(host.matcher?.matcher_tree?.exact_match_map?.map ?? {}).length)
    .reduce((sum, count) => sum + count, 0)
}

/** One counter or gauge by its exact name. */
export async function readStat(adminPort: number, name: string): Promise<number> {
  const filter = encodeURIComponent(`^${name.replaceAll('.', '\\.')}$`)
  const text = await (await ask(adminPort, `/stats?filter=${filter}`)).text()
  const value = /: (\d+)\s*$/.exec(text)?.[1]
  if (value === undefined) throw new Error(`Envoy has no statistic ${name}`)
  return Number(value)
}

/** How many requests one host, `127.0.0.1:9100`, has answered without an error, in all clusters that hold it. */
export const countAnswers = (adminPort: number, host: string): Promise<number> => sumOf(adminPort, host, 'rq_success')

/** How many it was sent. */
export const countRequests = (adminPort: number, host: string): Promise<number> => sumOf(adminPort, host, 'rq_total')

async function sumOf(adminPort: number, host: string, counter: string): Promise<number> {
  const text = await (await ask(adminPort, '/clusters')).text()
  return text
    .split('\n')
    .map((line) => line.split('::'))
    .filter(([, address, key]) => address === host && key === counter)
    .reduce((sum, fields) => sum + Number(fields[3]), 0)
}

interface RoutesDump {
  readonly configs: readonly {
    readonly route_config: {
      readonly virtual_hosts: readonly {
        readonly matcher?: { readonly matcher_tree?: { readonly exact_match_map?: { readonly map: object } } }
      }[]
    }
  }[]
}

async function ask(adminPort: number, path: string): Promise<Response> {
  const answer = await fetch(`http://127.0.0.1:${String(adminPort)}${path}`, { signal: AbortSignal.timeout(10_000) })
  if (!answer.ok) throw new Error(`Envoy answered ${String(answer.status)} to ${path}`)
  return answer
}
