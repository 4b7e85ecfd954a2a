/** The header, or metadata key, in which Envoy names the model and version that it chose. */
export const INTERNAL_NAME_KEY = 'seldon-internal-model'

/** The last value of a header that may be repeated, however Node hands it over; undefined when absent or empty. */
export function lastOf(value: string | readonly string[] | undefined): string | undefined {
  const last = (typeof value === 'string' ? value.split(',') : value)?.at(-1)?.trim()
  return last === '' ? undefined : last
}
