/** FNV-1a, 32 bits. The control plane has the same in TypeScript; a test feeds both the same names. */
export function fnv1a32(ptr: usize, size: i32): u32 {
  let hash: u32 = 0x811c9dc5
  for (let at = 0; at < size; at++) hash = (hash ^ load<u8>(ptr + at)) * 0x01000193
  return hash
}
