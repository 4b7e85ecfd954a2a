/** Short texts as bytes. Nearly all are ASCII, for which a call of native code takes longer than this. */

/** Writes `text`, a byte for each character, from `start` on. False: it is not ASCII, and what stands there now means nothing. */
export function putAscii(bytes: Uint8Array, text: string, start: number): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) return false
    bytes[start + index] = code
  }
  return true
}
