import { randomBytes } from 'node:crypto'

const ALPHABET = '0123456789abcdefghijklmnopqrstuv'
const LENGTH = 20

/** Twenty characters that nothing else was ever named by: who holds a version of a pipeline tells it by this. */
export function createUid(): string {
  return [...randomBytes(LENGTH)].map((byte) => ALPHABET[byte % ALPHABET.length] ?? '').join('')
}
