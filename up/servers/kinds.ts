/** The kinds of model server that `millrace up` can run; a Server resource of the same name is one of its own. Pure. */
import { ServingError } from '../../kit/errors.ts'

export const SERVER_KINDS = ['embedded', 'mlserver'] as const
export type ServerKind = (typeof SERVER_KINDS)[number]

/** Of one server on one machine; beyond it the ports of the kinds would meet. */
export const MAX_REPLICAS = 10

export const isServerKind = (name: string): name is ServerKind => SERVER_KINDS.some((kind) => kind === name)

/** Replicas by server, from `embedded=2,mlserver=1`. @throws ServingError CONFIG_INVALID naming what is wrong */
export function parseServers(text: string): ReadonlyMap<ServerKind, number> {
  const servers = new Map<ServerKind, number>()
  for (const part of text.split(',')) {
    const [name = '', count = ''] = part.split('=')
    const replicas = Number(count)
    if (!isServerKind(name)) throw invalid(text, `${JSON.stringify(name)} is none of ${SERVER_KINDS.join(', ')}`)
    if (servers.has(name)) throw invalid(text, `${name} is named twice`)
    if (!/^\d+$/.test(count) || replicas > MAX_REPLICAS)
      throw invalid(
        text,
        `${name} has ${JSON.stringify(count)} replicas, not a number from 0 to ${String(MAX_REPLICAS)}`,
      )
    servers.set(name, replicas)
  }
  return servers
}

const invalid = (text: string, problem: string): ServingError =>
  new ServingError('CONFIG_INVALID', `--servers ${text}: ${problem}; write it as embedded=2,mlserver=1`)
