/** How a person names a kind or a resource on the command line. */
import { type Kind, KINDS } from '../api/resources/resource.ts'
import { nearest } from '../api/resources/nearest.ts'
import { ServingError } from '../kit/errors.ts'

export interface Reference {
  readonly kind: Kind
  readonly name: string
}

const ALIASES: Readonly<Record<Kind, readonly string[]>> = {
  Model: ['model', 'models', 'mlm'],
  Server: ['server', 'servers', 'mls'],
  Pipeline: ['pipeline', 'pipelines', 'mlp'],
  Experiment: ['experiment', 'experiments', 'mlx'],
}

/** `model iris`, `models/iris`, `mls`. @throws ServingError CONFIG_INVALID */
export function parseKind(text: string): Kind {
  const kind = KINDS.find((candidate) => ALIASES[candidate].includes(text.toLowerCase()))
  if (kind !== undefined) return kind
  const suggestion = nearest(text, Object.values(ALIASES).flat())
  const hint =
    suggestion === undefined ? `use ${Object.values(ALIASES).flat().join(', ')}` : `did you mean ${suggestion}?`
  throw new ServingError('CONFIG_INVALID', `${JSON.stringify(text)} is no kind of resource; ${hint}`)
}

const WORKERS = ['worker', 'workers']

/** Workers are no resources: they can only be looked at. Undefined: something else is named. */
export function parseWorkers(first: string, second?: string): { readonly name: string | undefined } | undefined {
  const [word = '', name, ...rest] = first.split('/')
  if (!WORKERS.includes(word.toLowerCase()) || rest.length > 0) return undefined
  return { name: name === '' ? second : (name ?? second) }
}

/** Two words (`model iris`) or one (`model/iris`). @throws ServingError CONFIG_INVALID */
export function parseReference(first: string, second?: string): Reference {
  const slash = first.indexOf('/')
  const [kind, name] = slash < 0 ? [first, second] : [first.slice(0, slash), first.slice(slash + 1)]
  if (slash >= 0 && second !== undefined)
    throw new ServingError('CONFIG_INVALID', `name one resource: ${first} or ${second}, not both`)
  if (name !== undefined && name !== '') return { kind: parseKind(kind), name }
  const known = formatReference({ kind: parseKind(kind), name: '<name>' })
  throw new ServingError('CONFIG_INVALID', `${first}: the resource's name is missing, as in ${known}`)
}

/** `model/iris`: how resources are printed, and can be given back. */
export const formatReference = ({ kind, name }: Reference): string => `${kind.toLowerCase()}/${name}`

/** What requests name: `iris`, `pipeline/p` as `p.pipeline`, `experiment/e` as `e.experiment`. @throws ServingError CONFIG_INVALID */
export function toTarget(text: string): string {
  if (!text.includes('/')) return text
  const { kind, name } = parseReference(text)
  switch (kind) {
    case 'Model':
      return name
    case 'Pipeline':
      return `${name}.pipeline`
    case 'Experiment':
      return `${name}.experiment`
    case 'Server':
      throw new ServingError('CONFIG_INVALID', `${text}: a server is not called by itself: name one of its models`)
  }
}

/** What others stand on goes last: what an experiment sends to cannot be deleted before it. */
const DELETION_ORDER: readonly Kind[] = ['Experiment', 'Pipeline', 'Model', 'Server']

export const inDeletionOrder = (references: readonly Reference[]): readonly Reference[] =>
  references.toSorted((a, b) => DELETION_ORDER.indexOf(a.kind) - DELETION_ORDER.indexOf(b.kind))
