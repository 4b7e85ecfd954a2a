import { embeddedLayout } from './layouts/embedded.ts'
import type { RepositoryLayout } from './layouts/layout.ts'
import { mlserverLayout } from './layouts/mlserver.ts'

/** The kinds of model server this version can prepare folders for, and what is true of each. */
export const SERVER_TYPES = ['embedded', 'mlserver'] as const
export type ServerType = (typeof SERVER_TYPES)[number]

/** `server-type` leaves it to the kind of server. */
export const NAME_SOURCES = ['server-type', 'header', 'message'] as const

interface ServerTypeTraits {
  readonly layout: RepositoryLayout
  /** How the server learns the internal model name; see agent.proto. */
  readonly nameSource: 'MESSAGE' | 'HEADER'
  readonly capabilities: readonly string[]
  /** It answers nothing, health checks included, while it loads a model. */
  readonly silentWhileLoading: boolean
}

export const serverTypes: Readonly<Record<ServerType, ServerTypeTraits>> = {
  embedded: {
    layout: embeddedLayout,
    nameSource: 'HEADER',
    capabilities: ['onnx', 'embedded'],
    silentWhileLoading: false,
  },
  mlserver: {
    layout: mlserverLayout,
    nameSource: 'MESSAGE',
    capabilities: [
      'mlserver',
      'alibi-detect',
      'alibi-explain',
      'huggingface',
      'lightgbm',
      'mlflow',
      'python',
      'sklearn',
      'spark-mlib',
      'xgboost',
    ],
    silentWhileLoading: true,
  },
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
