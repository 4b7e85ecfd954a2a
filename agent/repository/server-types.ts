import { embeddedLayout } from './layouts/embedded.ts'
import type { RepositoryLayout } from './layouts/layout.ts'

/** The kinds of model server this version can prepare folders for, and what is true of each. */
export const SERVER_TYPES = ['embedded'] as const
export type ServerType = (typeof SERVER_TYPES)[number]

/** `server-type` leaves it to the kind of server. */
export const NAME_SOURCES = ['server-type', 'header', 'message'] as const

interface ServerTypeTraits {
  readonly layout: RepositoryLayout
  /** How the server learns the internal model name; see agent.proto. */
  readonly nameSource: 'MESSAGE' | 'HEADER'
  readonly capabilities: readonly string[]
}

export const serverTypes: Readonly<Record<ServerType, ServerTypeTraits>> = {
  embedded: { layout: embeddedLayout, nameSource: 'HEADER', capabilities: ['onnx', 'embedded'] },
}

/** What is told to the scheduler: the option, unless it leaves it to the kind of server. */
export function toNameSource(option: (typeof NAME_SOURCES)[number], traits: ServerTypeTraits): 'MESSAGE' | 'HEADER' {
  switch (option) {
    case 'server-type':
      return traits.nameSource
    case 'header':
      return 'HEADER'
    case 'message':
      return 'MESSAGE'
  }
}
