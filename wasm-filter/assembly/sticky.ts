// Stickiness by weighted rendezvous hashing. Each candidate has a number of its own for a user: how long an exponential clock, drawn
// from the hash of (experiment, user, candidate) and running at the speed of its weight, takes to ring; the first to ring wins.
// So the shares are as the weights say; the same user meets the same candidate in every VM of every Envoy; and when one weight grows,
// only its own clock gets faster: nobody moves but to the candidate that grew, and no more than its share needs. (Two candidates
// whose weights move against one another are the same case: only their ratio matters.)
import { View } from './bytes'
import { Candidate, candidateOf, Split } from './table'

const FRACTION_BITS: i32 = 28

export function byHash(split: Split, user: View): Candidate {
  const experiment = fnv1a64(0xcbf29ce484222325, split.seed, split.seedSize)
  const hash = fnv1a64(experiment, user.ptr, user.size)
  let winner = candidateOf(split, 0)
  let winnerTime: u64 = u64.MAX_VALUE
  let winnerWeight: u64 = 1
  for (let index = 0; index < split.candidateCount; index++) {
    const candidate = candidateOf(split, index)
    if (candidate.weight == 0) continue
    const draw = <u32>(mix(fnv1a64(hash, candidate.target, candidate.targetSize)) >> 32)
    const time = minusLog2(draw)
    if (winnerTime != u64.MAX_VALUE && time * winnerWeight >= winnerTime * candidate.weight) continue
    winner = candidate
    winnerTime = time
    winnerWeight = candidate.weight
  }
  return winner
}

/** FNV-1a, 64 bits, of these bytes and a zero byte that separates them from what follows. */
function fnv1a64(basis: u64, ptr: usize, size: i32): u64 {
  let hash = basis
  for (let at = 0; at < size; at++) hash = (hash ^ load<u8>(ptr + at)) * 0x100000001b3
  return hash * 0x100000001b3
}

/** Spreads every bit over all (the last step of MurmurHash3): FNV alone leaves names that differ in their last byte alike. */
function mix(hash: u64): u64 {
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53
  return hash ^ (hash >> 33)
}

/** -log2((draw + 1/2) / 2^32), in units of 2^-28: at most 33 * 2^28, so that a product with a weight fits. */
function minusLog2(draw: u32): u64 {
  const number = (<u64>draw << 1) | 1 // 33 bits, never 0
  const whole: u64 = 63 - clz(number)
  let mantissa = whole > 31 ? number >> 1 : number << (31 - whole) // 1 to 2, in units of 2^-31
  let log = whole
  for (let bit = 0; bit < FRACTION_BITS; bit++) {
    mantissa = (mantissa * mantissa) >> 31
    const carry = mantissa >> 32
    mantissa >>= carry
    log = (log << 1) | carry
  }
  return (<u64>33 << FRACTION_BITS) - log
}
