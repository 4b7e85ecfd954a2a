// Ids of Envoy's metrics by what they count. A series that was seen before costs one look-up and no allocation; the number of
// series is bounded, everything beyond the bound counts as `_other`.
import { MetricKind } from './abi'
import { View } from './bytes'
import { defineMetric } from './host'
import { Interner, OTHER } from './interner'
import { CODE_MAX, CODE_OTHER, durationName, Labels, microsecondsName, requestsName } from './metric-names'
import { INTERNAL_MAX_BYTES } from './names'

const ADDRESSES_MAX: u32 = 1024
/** An IPv6 address in brackets and a port take 47; a pipe or socket path beyond this is `_other`. */
const ADDRESS_MAX_BYTES: i32 = 64
const SERIES_PER_MODEL: u32 = 4
const SERIES_MIN: u32 = 1024

@unmanaged
export class Series {
  /** 0: free. */
  key: u64
  requests: u32
  microseconds: u32
  duration: u32
}

export class SeriesTable {
  private readonly internals: Interner = new Interner(INTERNAL_MAX_BYTES)
  private readonly addresses: Interner = new Interner(ADDRESS_MAX_BYTES)
  private readonly labels: Labels = new Labels()
  private maxModels: u32 = 0
  private mask: u32 = 0
  /** Series that may be made before the rest is `_other`; those two (REST, gRPC) always find a place. */
  private left: u32 = 0
  private entries: usize = 0

  constructor(mirror: bool) {
    this.labels.mirror = mirror
  }

  /** Makes room for this many models. Ids are made anew when that changes, and Envoy keeps the values of a name. */
  prepare(maxModels: u32): void {
    if (maxModels == this.maxModels) return
    if (this.entries != 0) heap.free(this.entries)
    this.maxModels = maxModels
    this.internals.reset(maxModels)
    this.addresses.reset(ADDRESSES_MAX)
    this.left = max(SERIES_MIN, maxModels * SERIES_PER_MODEL)
    let places: u32 = 8
    while (places < this.left * 2) places <<= 1
    this.mask = places - 1
    this.entries = heap.alloc(places * offsetof<Series>())
    memory.fill(this.entries, 0, places * offsetof<Series>())
  }

  find(internal: View, address: View, grpc: bool, code: u32): Series {
    const model = this.internals.numberOf(internal.ptr, internal.size)
    const server = this.addresses.numberOf(address.ptr, address.size)
    const known = code > CODE_MAX ? CODE_OTHER : code
    const series = this.place(keyOf(model, server, grpc, known))
    if (series.key != 0) return series
    if (this.left > 0) {
      this.left--
      return this.define(series, model, server, grpc, known)
    }
    const other = this.place(keyOf(OTHER, OTHER, grpc, CODE_OTHER))
    return other.key != 0 ? other : this.define(other, OTHER, OTHER, grpc, CODE_OTHER)
  }

  /** The series of a key, or the free place where it would be. */
  private place(key: u64): Series {
    let at = <u32>((key * 0x9e3779b97f4a7c15) >> 32) & this.mask
    while (true) {
      const series = changetype<Series>(this.entries + at * offsetof<Series>())
      if (series.key == key || series.key == 0) return series
      at = (at + 1) & this.mask
    }
  }

  private define(series: Series, model: u32, server: u32, grpc: bool, code: u32): Series {
    const labels = this.labels
    labels.grpc = grpc
    labels.code = code
    if (model == OTHER) labels.internal.clear()
    else this.internals.nameOf(model, labels.internal)
    if (server == OTHER) labels.address.clear()
    else this.addresses.nameOf(server, labels.address)
    series.key = keyOf(model, server, grpc, code)
    series.requests = defineMetric(MetricKind.COUNTER, requestsName(labels))
    series.microseconds = defineMetric(MetricKind.COUNTER, microsecondsName(labels))
    series.duration = defineMetric(MetricKind.HISTOGRAM, durationName(labels))
    return series
  }
}

/** Never 0: the lowest bit is always set. */
@inline
function keyOf(model: u32, server: u32, grpc: bool, code: u32): u64 {
  return ((<u64>model) << 32) | (server << 16) | (code << 2) | (<u32>grpc << 1) | 1
}
