// Counts per candidate of an experiment that is measured (a rollout decides by it): requests, errors, and how long the others took.
// A candidate keeps its number as long as the VM lives, so a request that ends under a later table is counted where it was sent.
import { MetricKind } from './abi'
import { View } from './bytes'
import { addToCounter, defineMetric, recordInHistogram } from './host'
import { Interner, OTHER } from './interner'
import { candidateErrorsName, candidateMicrosecondsName, candidateRequestsName } from './metric-names'
import { TARGET_MAX_BYTES } from './names'
import { Streams } from './streams'
import { candidateOf, Split, Table } from './table'
import { Writer } from './writer'

/** Candidates that a VM measures in its life; Envoy never gives up a metric. What comes later is not measured at all. */
const CANDIDATES_MAX: u32 = 4096
const FIRST_ERROR: u32 = 400

@unmanaged
class Measured {
  requests: u32
  errors: u32
  microseconds: u32
}

/** `<experiment>\0<candidate>`. */
const names = new Interner(TARGET_MAX_BYTES * 2 + 1)
const key = new Writer(TARGET_MAX_BYTES * 2 + 1)
const view = new View()
/** For each number: REST, gRPC. Taken when the first candidate is measured. */
let entries: usize = 0
/** The number of the candidate that a request in flight was sent to. */
const inFlight = new Streams(4)

/** Gives the candidates of a new table their numbers; false when some get none. */
export function numberCandidates(table: Table): bool {
  let all = true
  for (let at = table.firstSplit; at != 0; at = changetype<Split>(at).next) {
    const split = changetype<Split>(at)
    if (!split.isMeasured) continue
    if (entries == 0) makeRoom()
    for (let index = 0; index < split.candidateCount; index++) {
      const candidate = candidateOf(split, index)
      key.reset().bytes(split.seed, split.seedSize).byte(0).bytes(candidate.target, candidate.targetSize)
      candidate.measured = names.numberOf(key.ptr, key.size)
      if (candidate.measured == OTHER) all = false
    }
  }
  return all
}

function makeRoom(): void {
  names.reset(CANDIDATES_MAX)
  const size = (CANDIDATES_MAX + 1) * 2 * offsetof<Measured>()
  entries = heap.alloc(size)
  memory.fill(entries, 0, size)
}

/** Beyond 65,536 requests in flight a request is not measured. */
export function noteCandidate(contextId: u32, number: u32): void {
  const place = inFlight.open(contextId)
  if (place != 0) store<u32>(place, number)
}

/** The number of the candidate that a request which has ended was sent to; 0: it is not measured. */
@inline
export function takeCandidate(contextId: u32): u32 {
  return inFlight.any ? take(contextId) : 0
}

function take(contextId: u32): u32 {
  const place = inFlight.find(contextId)
  if (place == 0) return 0
  const number = load<u32>(place)
  inFlight.close(contextId)
  return number
}

/** `answered`: some answer came; a client that left before may not be held against the candidate, but its wait counts. */
export function measure(number: u32, grpc: bool, answered: bool, code: u32, microseconds: u64): void {
  const measured = entryOf(number, grpc)
  addToCounter(measured.requests, 1)
  if (answered && (grpc ? code != 0 : code >= FIRST_ERROR)) addToCounter(measured.errors, 1)
  else recordInHistogram(measured.microseconds, microseconds)
}

function entryOf(number: u32, grpc: bool): Measured {
  const measured = changetype<Measured>(entries + (number * 2 + <u32>grpc) * offsetof<Measured>())
  if (measured.requests != 0) return measured
  names.nameOf(number, view)
  measured.requests = defineMetric(MetricKind.COUNTER, candidateRequestsName(view, grpc))
  measured.errors = defineMetric(MetricKind.COUNTER, candidateErrorsName(view, grpc))
  measured.microseconds = defineMetric(MetricKind.HISTOGRAM, candidateMicrosecondsName(view, grpc))
  return measured
}
