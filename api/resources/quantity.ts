/** Kubernetes quantities (`100Ki`, `1.5Gi`, `334e6`, `1G`, plain numbers) as exact whole bytes. */

/** As written in a manifest: text, or a number that YAML or JSON already read. */
export type Quantity = string | number

export type QuantityResult =
  { readonly kind: 'bytes'; readonly bytes: number } | { readonly kind: 'invalid'; readonly reason: string }

const FORM =
  /^\+?(?<whole>\d*)(?:\.(?<fraction>\d*))?(?:[eE](?<exponent>[+-]?\d{1,3})|(?<suffix>[KMGTPE]i|[numkMGTPE])?)$/
const BINARY = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']
const DECIMAL_EXPONENT: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
}
const MAX_LENGTH = 64

const invalid = (reason: string): QuantityResult => ({ kind: 'invalid', reason })

/** Exact: the arithmetic is on integers, so `0.1Gi`, which is no whole number of bytes, is refused, not rounded. */
export function parseQuantity(quantity: Quantity): QuantityResult {
  const text = String(quantity).trim()
  if (text.startsWith('-')) return invalid('must not be negative')
  const match = text.length <= MAX_LENGTH ? FORM.exec(text) : null
  const { whole = '', fraction = '', exponent, suffix = '' } = match?.groups ?? {}
  if (match === null || whole + fraction === '')
    return invalid('is not a quantity; write bytes as 100Ki, 1.5Gi, 334e6, 1G or a number')
  const binary = BINARY.indexOf(suffix) + 1
  const tens = (exponent === undefined ? (DECIMAL_EXPONENT[suffix] ?? 0) : Number(exponent)) - fraction.length
  const scaled = BigInt(whole + fraction) * 1024n ** BigInt(binary)
  if (tens < 0 && scaled % 10n ** BigInt(-tens) !== 0n) return invalid('is not a whole number of bytes')
  const bytes = tens < 0 ? scaled / 10n ** BigInt(-tens) : scaled * 10n ** BigInt(tens)
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) return invalid(`is more than ${String(Number.MAX_SAFE_INTEGER)} bytes`)
  return { kind: 'bytes', bytes: Number(bytes) }
}
