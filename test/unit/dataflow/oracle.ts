/**
 * The rules of pipelines once more, written down as simply as they are said and without regard to cost: after every event all
 * is worked out from the whole history. Knows manifests, not plans. Without loops.
 */
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'

/** A tensor as its name now and where it came from. */
export type Token = readonly [name: string, origin: string]
/** What each step's model does: the tensors it gives, or that it fails. */
export type Results = Readonly<Record<string, readonly string[] | 'fails'>>
export type Happening =
  | { readonly kind: 'done'; readonly step: string }
  /** The window of the outer join of a node ends. */
  | { readonly kind: 'window'; readonly node: string; readonly group: 'data' | 'triggers' }

export interface Expected {
  /** What each started step was given. */
  readonly started: ReadonlyMap<string, readonly Token[]>
  readonly running: ReadonlySet<string>
  readonly end:
    | { readonly kind: 'answered'; readonly tensors: readonly Token[] }
    | { readonly kind: 'failed'; readonly reason: string }
    | undefined
  readonly sideFailures: readonly string[]
}

interface Rule {
  readonly name: string
  readonly data: Side
  readonly triggers: Side
}
interface Side {
  readonly join: 'inner' | 'outer' | 'any'
  readonly sources: readonly { readonly edge: string; readonly tensors: readonly string[] | undefined }[]
}
const OUTPUT = 'the output'

export function expectations(
  spec: PipelineSpec,
  request: readonly Token[],
  results: Results,
  history: readonly Happening[],
): Expected {
  const rules = toRules(spec)
  const steps = rules.filter(({ name }) => name !== OUTPUT)
  const arrived = new Map<string, { at: number; tokens: readonly Token[] }>()
  const windows = new Map<string, number>()
  const started = new Map<string, readonly Token[]>()
  const running = new Set<string>()
  const failed = new Set<string>()
  const sideFailures: string[] = []
  let end: Expected['end']
  let clock = 0

  put('p.inputs', request)
  settle()
  for (const happening of history) {
    if (happening.kind === 'window') windows.set(`${happening.node}/${happening.group}`, (clock += 1))
    else finish(happening.step)
    settle()
  }
  return { started, running, end, sideFailures }

  function put(edge: string, tokens: readonly Token[]): void {
    arrived.set(edge, { at: (clock += 1), tokens })
  }

  function finish(step: string): void {
    const result = results[step] ?? []
    const matters = end === undefined && isNeeded(step)
    running.delete(step)
    if (result !== 'fails') {
      put(
        `${step}.outputs`,
        result.map((name): Token => [name, step]),
      )
      return
    }
    failed.add(step)
    if (matters) endWith({ kind: 'failed', reason: step })
    else sideFailures.push(step)
  }

  function endWith(ending: Expected['end']): void {
    end = ending
    if (ending?.kind !== 'failed') return
    for (const step of running) if (!servesSide(step)) running.delete(step)
  }

  function settle(): void {
    const isOver = end !== undefined
    for (let changes = true; changes;) {
      changes = false
      for (const rule of rules) {
        const tokens = isStarted(rule.name) ? undefined : ready(rule)
        if (tokens === undefined || (isOver && (rule.name === OUTPUT || !servesSide(rule.name)))) continue
        changes = true
        if (rule.name === OUTPUT) {
          endWith({ kind: 'answered', tensors: tokens })
          continue
        }
        started.set(rule.name, tokens)
        running.add(rule.name)
        put(`${rule.name}.inputs`, tokens)
      }
    }
    if (end === undefined && !canRun(OUTPUT)) endWith({ kind: 'failed', reason: 'no output' })
  }

  /** The joined data of a node that may run now. */
  function ready(rule: Rule): readonly Token[] | undefined {
    const guard = rule.triggers.sources.length === 0 || joined(rule, 'triggers') !== undefined
    return guard ? joined(rule, 'data') : undefined
  }

  function joined({ name, ...rule }: Rule, group: 'data' | 'triggers'): readonly Token[] | undefined {
    const { join, sources } = rule[group]
    const window = windows.get(`${name}/${group}`) ?? Infinity
    const come = sources.flatMap((source) => {
      const there = taken(source)
      return there === undefined ? [] : [there]
    })
    const all = come.flatMap(({ tokens }) => tokens)
    switch (join) {
      case 'inner':
        return come.length === sources.length ? all : undefined
      case 'any':
        return come.toSorted((a, b) => a.at - b.at)[0]?.tokens
      case 'outer': {
        const inTime = come.filter(({ at }) => at < window)
        if (inTime.length === sources.length) return all
        return window === Infinity ? undefined : inTime.flatMap(({ tokens }) => tokens)
      }
    }
  }

  function taken({ edge, tensors }: Side['sources'][number]) {
    const there = arrived.get(edge)
    const tokens = there?.tokens.filter(([name]) => tensors === undefined || tensors.includes(name)) ?? []
    return there === undefined || tokens.length === 0 ? undefined : { at: there.at, tokens }
  }

  function isStarted(name: string): boolean {
    return name === OUTPUT ? end?.kind === 'answered' : started.has(name)
  }

  /** Whether a node that has not run may run yet, or an edge may yet carry what is taken. */
  function canRun(name: string): boolean {
    const rule = rules.find((other) => other.name === name)
    if (rule === undefined) return false
    return (['data', 'triggers'] as const).every((group) => {
      const { join, sources } = rule[group]
      const hopes = sources.map((source) => {
        if (taken(source) !== undefined) return true
        const [step = ''] = source.edge.split('.')
        if (arrived.has(source.edge) || step === 'p' || failed.has(step)) return false
        return source.edge.endsWith('.outputs') && started.has(step) ? running.has(step) : canRun(step)
      })
      return sources.length === 0 || (join === 'inner' ? hopes.every(Boolean) : hopes.some(Boolean))
    })
  }

  /** Whether what a node gives may still reach the output. */
  function isNeeded(name: string): boolean {
    return rules.some((rule) => {
      if (isStarted(rule.name) || !canRun(rule.name)) return false
      const waits = (['data', 'triggers'] as const).some(
        (group) =>
          rule[group].sources.some(({ edge }) => edge.startsWith(`${name}.`) && !arrived.has(edge)) &&
          joined(rule, group) === undefined,
      )
      return waits && (rule.name === OUTPUT || isNeeded(rule.name))
    })
  }

  function leadsTo(name: string, isGoal: (node: string) => boolean): boolean {
    return rules.some((rule) => {
      const takes = [...rule.data.sources, ...rule.triggers.sources].some(({ edge }) => edge.startsWith(`${name}.`))
      return takes && (isGoal(rule.name) || leadsTo(rule.name, isGoal))
    })
  }

  function isSide(name: string): boolean {
    return steps.some((step) => step.name === name) && !leadsTo(name, (node) => node === OUTPUT)
  }

  function servesSide(name: string): boolean {
    return isSide(name) || leadsTo(name, isSide)
  }
}

function toRules(spec: PipelineSpec): readonly Rule[] {
  const steps = spec.steps.map(({ name, inputs = ['p'], triggers = [], inputsJoinType, triggersJoinType }) => ({
    name,
    data: { join: inputsJoinType ?? 'inner', sources: sourcesOf(inputs) },
    triggers: { join: triggersJoinType ?? 'inner', sources: triggers.map((text) => sourcesOf([text])[0] ?? NOWHERE) },
  }))
  if (spec.output === undefined) return steps
  const data = { join: spec.output.stepsJoin ?? 'inner', sources: sourcesOf(spec.output.steps) }
  return [...steps, { name: OUTPUT, data, triggers: { join: 'inner', sources: [] } }]
}

const NOWHERE = { edge: '', tensors: undefined }

/** `a`, `a.outputs`, `a.outputs.t`: one source for each edge; named tensors count alone. */
function sourcesOf(texts: readonly string[]): Side['sources'] {
  const edges = new Map<string, string[]>()
  for (const text of texts) {
    const [name = '', side = name === 'p' ? 'inputs' : 'outputs', tensor] = text.split('.')
    const edge = `${name}.${side}`
    edges.set(edge, [...(edges.get(edge) ?? []), ...(tensor === undefined ? [] : [tensor])])
  }
  return [...edges].map(([edge, tensors]) => ({ edge, tensors: tensors.length === 0 ? undefined : tensors }))
}
