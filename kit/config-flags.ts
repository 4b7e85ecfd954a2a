/** Command line -> values by flag, with everything that is wrong with it. */
import type { Issue } from './errors.ts'

export interface Flags {
  /** Text as given; booleans are true or false. The last of a repeated flag wins. */
  readonly values: Readonly<Record<string, string | boolean>>
  readonly issues: readonly Issue[]
}

/** `flags`: the kind of each known flag. `--flag value`, `--flag=value`, `--flag`, `--no-flag`, `-h`. */
export function parseFlags(flags: Readonly<Record<string, 'text' | 'boolean'>>, argv: readonly string[]): Flags {
  const values: Record<string, string | boolean> = {}
  const issues: Issue[] = []
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] === '-h' ? '--help' : (argv[at] ?? '')
    const { name, inline } = /^--(?<name>[^=]+)(?:=(?<inline>[^]*))?$/.exec(word)?.groups ?? {}
    const positive = name?.replace(/^no-/, '') ?? ''
    const refuse = (message: string): void => {
      issues.push({ path: name === undefined ? word : `--${name}`, message })
    }
    if (name === undefined) refuse('is not an option; see --help')
    else if (kindOf(flags, name) === 'boolean') {
      if (inline === undefined || inline === 'true' || inline === 'false') values[name] = inline !== 'false'
      else refuse(`${JSON.stringify(inline)}: must be true or false`)
    } else if (kindOf(flags, name) === 'text') {
      const next = argv[at + 1]
      if (inline !== undefined) values[name] = inline
      else if (next === undefined || next.startsWith('--')) refuse('needs a value')
      else {
        values[name] = next
        at++
      }
    } else if (kindOf(flags, positive) === 'boolean' && inline === undefined) values[positive] = false
    else refuse('unknown option; see --help')
  }
  return { values, issues }
}

const kindOf = (flags: Readonly<Record<string, 'text' | 'boolean'>>, name: string): 'text' | 'boolean' | undefined =>
  Object.hasOwn(flags, name) ? flags[name] : undefined
