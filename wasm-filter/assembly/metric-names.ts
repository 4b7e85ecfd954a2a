// The names of our metrics, as README.md documents them for whoever reads Envoy's stats.
import { indexOf, text, View } from './bytes'
import { PROTO_GRPC, PROTO_REST } from './names'
import { Writer } from './writer'

const REQUESTS = text('millrace.requests')
const MICROSECONDS = text('millrace.microseconds')
const DURATION_US = text('millrace.duration_us')
const MIRROR_REQUESTS = text('millrace.mirror_requests')
const MIRROR_MICROSECONDS = text('millrace.mirror_microseconds')
const MIRROR_DURATION_US = text('millrace.mirror_duration_us')
const CANDIDATE_REQUESTS = text('millrace.candidate_requests')
const CANDIDATE_ERRORS = text('millrace.candidate_errors')
const CANDIDATE_US = text('millrace.candidate_us')
const OTHER = text('_other')
const NONE = text('_none')
const DOT: u8 = 0x2e
const UNDERSCORE: u8 = 0x5f

/** What tells one series from another. Empty `internal` or `address`: everything beyond the limit. */
export class Labels {
  readonly internal: View = new View()
  readonly address: View = new View()
  /** Copies, not requests that somebody waits for. */
  mirror: bool = false
  grpc: bool = false
  /** Above `CODE_MAX`: other. */
  code: u32 = 0
}

export const CODE_MAX: u32 = 999
export const CODE_OTHER: u32 = CODE_MAX + 1
/** Stands for the address of a request that no server took. */
export const ADDRESS_NONE = NONE

const name = new Writer(1024)

export function requestsName(labels: Labels): Writer {
  return seriesName(labels.mirror ? MIRROR_REQUESTS : REQUESTS, labels)
}

export function microsecondsName(labels: Labels): Writer {
  return seriesName(labels.mirror ? MIRROR_MICROSECONDS : MICROSECONDS, labels)
}

export function durationName(labels: Labels): Writer {
  return serverFields(name.reset().view(labels.mirror ? MIRROR_DURATION_US : DURATION_US), labels)
}

/** `candidate`: `<experiment>\0<candidate>`. */
export function candidateRequestsName(candidate: View, grpc: bool): Writer {
  return candidateName(CANDIDATE_REQUESTS, candidate, grpc)
}

export function candidateErrorsName(candidate: View, grpc: bool): Writer {
  return candidateName(CANDIDATE_ERRORS, candidate, grpc)
}

export function candidateMicrosecondsName(candidate: View, grpc: bool): Writer {
  return candidateName(CANDIDATE_US, candidate, grpc)
}

function candidateName(kind: View, candidate: View, grpc: bool): Writer {
  const end = indexOf(candidate.ptr, candidate.size, 0, 0)
  name.reset().view(kind).byte(DOT).field(candidate.ptr, end)
  name.byte(DOT).field(candidate.ptr + end + 1, candidate.size - end - 1)
  return name.byte(DOT).view(grpc ? PROTO_GRPC : PROTO_REST)
}

function seriesName(kind: View, labels: Labels): Writer {
  const internal = labels.internal.size == 0 ? OTHER : labels.internal
  name.reset().view(kind).byte(DOT).field(internal.ptr, modelSize(internal))
  name.byte(DOT).field(internal.ptr, internal.size)
  return serverFields(name, labels)
}

function serverFields(writer: Writer, labels: Labels): Writer {
  const address = labels.address.size == 0 ? OTHER : labels.address
  writer.byte(DOT).field(address.ptr, address.size)
  writer.byte(DOT).view(labels.grpc ? PROTO_GRPC : PROTO_REST).byte(DOT)
  return labels.code > CODE_MAX ? writer.view(OTHER) : writer.decimal(labels.code)
}

/** The model of `iris_3` is `iris`; a name that has no version is its own model. */
function modelSize(internal: View): i32 {
  let at = internal.size - 1
  while (at > 0 && load<u8>(internal.ptr + at) != UNDERSCORE) at--
  return at > 0 ? at : internal.size
}
