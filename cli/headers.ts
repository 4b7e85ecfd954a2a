import { ServingError } from '../kit/errors.ts'

/** `--header name=value` entries, names in lower case. @throws ServingError CONFIG_INVALID */
export function parseHeaders(entries: readonly string[]): Readonly<Record<string, string>> {
  const pairs = entries.map((entry) => {
    const { name, value } = /^(?<name>[\w!#$%&'*+.^`|~-]+)=(?<value>[\x20-\x7E]*)$/.exec(entry)?.groups ?? {}
    if (name === undefined || value === undefined)
      throw new ServingError('CONFIG_INVALID', `--header ${entry}: write it as name=value, in ASCII`)
    return [name.toLowerCase(), value] as const
  })
  return Object.fromEntries(pairs)
}
