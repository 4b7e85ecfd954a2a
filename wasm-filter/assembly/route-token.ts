// Tokens of the request header `x-seldon-route`, as answers carry them: `:iris_1:`, or `:add10_1: :pipeline-add10.pipeline:` of a
// nested choice. Each pins the split that has what it names among its candidates; all others are as if it were not there.
import { bytesEqual, indexOf, isText, View } from './bytes'
import { HeaderPairs } from './header-pairs'
import { HEADER_ROUTE } from './names'
import { Candidate, candidateOf, Split } from './table'

const COLON: u8 = 0x3a
const UNDERSCORE: u8 = 0x5f
/** More than a client that repeats what it was given can have met. */
const TOKENS_MAX: i32 = 64

const pairs = new HeaderPairs()

/** The candidate that the first fitting token names; null when none does. One that takes no traffic is not kept to. */
export function byRouteToken(split: Split, headers: View): Candidate | null {
  let left = TOKENS_MAX
  pairs.start(headers)
  while (pairs.next()) {
    if (!isText(pairs.name.ptr, pairs.name.size, HEADER_ROUTE)) continue
    const value = pairs.value
    for (let start = 0; start < value.size && left > 0; ) {
      const end = indexOf(value.ptr, value.size, COLON, start)
      const candidate = end > start ? namedBy(split, value.ptr + start, end - start) : null
      if (candidate != null) return candidate
      start = end + 1
      left--
    }
  }
  return null
}

function namedBy(split: Split, ptr: usize, size: i32): Candidate | null {
  const bare = withoutVersion(ptr, size)
  for (let index = 0; index < split.candidateCount; index++) {
    const candidate = candidateOf(split, index)
    const fits = candidate.targetSize == size || candidate.targetSize == bare
    if (fits && candidate.weight > 0 && bytesEqual(candidate.target, ptr, candidate.targetSize)) return candidate
  }
  return null
}

/** The size of `iris` in `iris_12`: whichever version it was, the candidate stays the same. */
function withoutVersion(ptr: usize, size: i32): i32 {
  let at = size
  while (at > 0 && isDigit(load<u8>(ptr + at - 1))) at--
  return at > 1 && at < size && load<u8>(ptr + at - 1) == UNDERSCORE ? at - 1 : size
}

@inline
function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39
}
