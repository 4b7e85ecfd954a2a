/** `a=b,c!=d,e,!f`: labels that a resource must have, or must not. Pure. */
import { issuesError } from '../../kit/errors.ts'

type Labels = Readonly<Record<string, string>>
export type LabelSelector = (labels: Labels) => boolean

const LABEL = /^(?<absent>!)?(?<key>[A-Za-z0-9][A-Za-z0-9._/-]*)(?:(?<operator>!=|==?)(?<value>[A-Za-z0-9._-]*))?$/

/** All of its parts hold; an empty selector takes everything. @throws ServingError REQUEST_INVALID naming every part that is none */
export function parseLabelSelector(text: string): LabelSelector {
  const parts = text.split(',').map((part) => part.trim())
  const wanted = text.trim() === '' ? [] : parts.map((part) => ({ part, test: parsePart(part) }))
  const issues = wanted
    .filter(({ test }) => test === undefined)
    .map(({ part }) => ({
      path: 'labelSelector',
      message: `${JSON.stringify(part)} is not understood: use key=value, key!=value, key or !key`,
    }))
  if (issues.length > 0) throw issuesError('REQUEST_INVALID', 'the query', issues)
  return (labels) => wanted.every(({ test }) => test?.(labels) === true)
}

function parsePart(part: string): LabelSelector | undefined {
  const { absent, key, operator, value } = LABEL.exec(part)?.groups ?? {}
  if (key === undefined || (absent !== undefined && operator !== undefined)) return undefined
  const valueOf = (labels: Labels): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined)
  if (operator === undefined) return (labels) => (valueOf(labels) === undefined) === (absent !== undefined)
  return (labels) => (valueOf(labels) === value) === (operator !== '!=')
}
