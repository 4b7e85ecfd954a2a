/** The constant sentences that our processes log, found in their source. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

export interface LogEvent {
  readonly message: string
  readonly level: string
  /** Of the source. */
  readonly folder: string
}

const FOLDERS = ['scheduler', 'xds', 'agent', 'model-server', 'mesh', 'dataflow', 'kit']
/** `log.info({ ... }, 'sentence')`, over several lines or not; the fields hold no call that ends with a sentence. */
const CALL = /\b[lL]og(?:ger)?\??\.(?<level>error|warn|info)\((?<rest>[^]*?)\)\s*(?=\n|$|[;,}])/g
const SENTENCE = /,\s*(?<quote>['"])(?<text>(?:(?!\k<quote>)[^\\]|\\.)+)\k<quote>,?\s*$/

/** By level, most severe first, then by sentence. */
export function logEvents(root: string): readonly LogEvent[] {
  const events = FOLDERS.flatMap((folder) => sources(join(root, folder))).flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(CALL)].flatMap(({ groups }) => {
      const message = SENTENCE.exec(groups?.['rest'] ?? '')?.groups?.['text']
      const level = groups?.['level'] ?? ''
      return message === undefined ? [] : [{ message, level, folder: relative(root, dirname(path)) }]
    }),
  )
  const keyOf = ({ level, message, folder }: LogEvent): string =>
    [LEVELS.indexOf(level), message, folder].join('\u0000')
  return [...new Map(events.map((event) => [keyOf(event), event]))]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, event]) => event)
}

const LEVELS = ['error', 'warn', 'info']

const sources = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
