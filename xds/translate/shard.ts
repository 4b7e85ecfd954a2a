const OFFSET_BASIS = 0x811c9dc5
const PRIME = 0x01000193
const utf8 = new TextEncoder()

/** FNV-1a, 32 bits, over the UTF-8 bytes of the name. The router filter holds the same function; one test feeds both. */
export function fnv1a32(name: string): number {
  let hash = OFFSET_BASIS
  for (const byte of utf8.encode(name)) hash = Math.imul(hash ^ byte, PRIME)
  return hash >>> 0
}

/** The shard whose route table holds a target. */
export function shardOf(name: string, shards: number): number {
  return fnv1a32(name) % shards
}
