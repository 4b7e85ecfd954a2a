/** What `inspect` is asked for: `<pipeline>[.<step>][.inputs|outputs][.<tensor>]`. Pure. */
import { TOPIC_SIDES, type TopicEnd, type TopicSide } from '../../dataflow/journal/topics.ts'
import { ServingError } from '../../kit/errors.ts'

export interface InspectTarget {
  readonly pipeline: string
  /** Both ends where no side was named. */
  readonly ends: readonly TopicEnd[]
  /** Undefined: all. */
  readonly tensor: string | undefined
}

/** @throws ServingError CONFIG_INVALID */
export function parseInspectTarget(text: string): InspectTarget {
  const [pipeline = '', ...parts] = text.split('.')
  const isSide = (part: string | undefined): part is TopicSide => TOPIC_SIDES.some((side) => side === part)
  const step = parts.length > 0 && !isSide(parts[0]) ? parts.shift() : undefined
  const side = isSide(parts[0]) ? (parts.shift() as TopicSide) : undefined
  const tensor = parts.shift()
  if (parts.length > 0 || [pipeline, step, tensor].includes('') || (tensor !== undefined && side === undefined))
    throw new ServingError(
      'CONFIG_INVALID',
      `${JSON.stringify(text)}: write <pipeline>[.<step>][.inputs|outputs][.<tensor>], for instance pets.resize.outputs.image`,
    )
  const own = step === undefined || step === pipeline
  const [kind, name] = own ? (['pipeline', pipeline] as const) : (['model', step] as const)
  return {
    pipeline,
    tensor,
    ends: (side === undefined ? TOPIC_SIDES : [side]).map((one) => ({ kind, name, side: one })),
  }
}
