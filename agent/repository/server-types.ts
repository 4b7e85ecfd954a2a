import { embeddedLayout } from './layouts/embedded.ts'
import type { RepositoryLayout } from './layouts/layout.ts'

/** The kinds of model server this version can prepare folders for, and what is true of each. */
export const SERVER_TYPES = ['embedded'] as const
export type ServerType = (typeof SERVER_TYPES)[number]

interface ServerTypeTraits {
  readonly layout: RepositoryLayout
  /** How the server learns the internal model name; see agent.proto. */
  readonly nameSource: 'MESSAGE' | 'HEADER'
  readonly capabilities: readonly string[]
}

export const serverTypes: Readonly<Record<ServerType, ServerTypeTraits>> = {
  embedded: { layout: embeddedLayout, nameSource: 'HEADER', capabilities: ['onnx', 'embedded'] },
}
