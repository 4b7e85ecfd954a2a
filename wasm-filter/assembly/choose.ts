// Which candidate of a split a request gets: the first whose conditions hold, else the one that a route token names, else by the
// hash of the sticky header, else by chance. A candidate of weight 0 is for those alone whom its conditions name.
// Only requests that a split concerns come here. No call to the host: the headers are those that were read already.
import { bytesEqual, startsWithBytes, View } from './bytes'
import { HeaderPairs } from './header-pairs'
import { randomBelow } from './random'
import { byRouteToken } from './route-token'
import { byHash } from './sticky'
import { Candidate, candidateOf, Condition, ConditionKind, Split } from './table'

const pairs = new HeaderPairs()

export function choose(split: Split, headers: View): Candidate {
  const matching = byConditions(split, headers)
  if (matching != null) return matching
  const named = byRouteToken(split, headers)
  if (named != null) return named
  if (split.stickySize > 0 && findHeader(split.sticky, split.stickySize, headers)) return byHash(split, pairs.value)
  return byChance(split)
}

function byConditions(split: Split, headers: View): Candidate | null {
  for (let index = 0; index < split.candidateCount; index++) {
    const candidate = candidateOf(split, index)
    if (candidate.conditions != 0 && allHold(candidate.conditions, headers)) return candidate
  }
  return null
}

function allHold(first: usize, headers: View): bool {
  for (let at = first; at != 0; at = changetype<Condition>(at).next) {
    if (!holds(changetype<Condition>(at), headers)) return false
  }
  return true
}

function holds(condition: Condition, headers: View): bool {
  pairs.start(headers)
  while (pairs.next()) {
    if (isNamed(condition.header, condition.headerSize) && fits(condition, pairs.value)) return true
  }
  return false
}

function fits(condition: Condition, value: View): bool {
  switch (condition.kind) {
    case ConditionKind.EXACT:
      return value.size == condition.valueSize && bytesEqual(value.ptr, condition.value, value.size)
    case ConditionKind.PREFIX:
      return startsWithBytes(value.ptr, value.size, condition.value, condition.valueSize)
    default:
      return true
  }
}

/** The first header of this name that is not empty, in `pairs`. */
function findHeader(name: usize, nameSize: i32, headers: View): bool {
  pairs.start(headers)
  while (pairs.next()) if (pairs.value.size > 0 && isNamed(name, nameSize)) return true
  return false
}

@inline
function isNamed(name: usize, size: i32): bool {
  return pairs.name.size == size && bytesEqual(pairs.name.ptr, name, size)
}

function byChance(split: Split): Candidate {
  let left = randomBelow(split.totalWeight)
  let index = 0
  while (left >= candidateOf(split, index).weight) left -= candidateOf(split, index++).weight
  return candidateOf(split, index)
}
