/** The header fields of an HTTP/1.1 message, read from its text in one pass. Pure. */
export type Field = readonly [name: string, value: string]
export type Fields = readonly Field[]

const TAB = 9
const LF = 10
const CR = 13
const SPACE = 32
const COLON = 58
const DEL = 127

const NAME = 1
const UPPER = 2
/** By character code: what may stand in a name, and whether it is an upper-case letter. */
const NAME_CHARS = new Uint8Array(256)
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") NAME_CHARS[char.charCodeAt(0)] = NAME
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') NAME_CHARS[char.charCodeAt(0)] = UPPER

/** Whether it is a name of a field or a method. */
export function isToken(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (NAME_CHARS[text.charCodeAt(at)] === 0) return false
  return text !== ''
}

/**
 * The fields that stand in `text` from `from` on, one a line, in latin1; names in lower case. Undefined: they are no fields; lines
 * that go on in the next one, which HTTP once had, are none.
 */
export function readFields(text: string, from: number): Field[] | undefined {
  const fields: Field[] = []
  const end = text.length
  let at = from
  while (at < end) {
    const nameAt = at
    let kinds = 0
    for (; at < end; at += 1) {
      const kind = NAME_CHARS[text.charCodeAt(at)] ?? 0
      if (kind === 0) break
      kinds |= kind
    }
    if (at === nameAt || at === end || text.charCodeAt(at) !== COLON) return undefined
    const name = text.slice(nameAt, at)
    at += 1
    while (at < end && isBlank(text.charCodeAt(at))) at += 1
    const valueAt = at
    let valueEnd = at
    for (; at < end; at += 1) {
      const code = text.charCodeAt(at)
      if (code === CR) break
      if (!isOfValue(code)) return undefined
      if (!isBlank(code)) valueEnd = at + 1
    }
    // Envoy's names are in lower case already.
    fields.push([(kinds & UPPER) === 0 ? name : name.toLowerCase(), text.slice(valueAt, valueEnd)])
    if (at === end) return fields
    if (text.charCodeAt(at + 1) !== LF) return undefined
    at += 2
  }
  return fields
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB
const isOfValue = (code: number): boolean => (code >= SPACE && code !== DEL) || code === TAB

/** The first value of a name. */
export function fieldOf(fields: Fields, name: string): string | undefined {
  for (const field of fields) if (field[0] === name) return field[1]
  return undefined
}

/** Whether it may stand in a head that we write: nothing in it ends a line. */
export function isPrintable(value: string): boolean {
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at)
    if (code < SPACE || code >= DEL) return false
  }
  return true
}
