// The host functions of proxy-wasm ABI 0.2.1 that the filters use, and the numbers that go with them. Nothing else.
// Each returns a status: 0 is Ok. `out*` are addresses the host writes to.

@external("env", "proxy_log")
export declare function proxy_log(level: i32, message: usize, size: i32): i32

@external("env", "proxy_get_header_map_pairs")
export declare function proxy_get_header_map_pairs(map: i32, outPairs: usize, outSize: usize): i32
@external("env", "proxy_get_header_map_value")
export declare function proxy_get_header_map_value(map: i32, key: usize, keySize: i32, outValue: usize, outSize: usize): i32
@external("env", "proxy_add_header_map_value")
export declare function proxy_add_header_map_value(map: i32, key: usize, keySize: i32, value: usize, valueSize: i32): i32
@external("env", "proxy_replace_header_map_value")
export declare function proxy_replace_header_map_value(map: i32, key: usize, keySize: i32, value: usize, valueSize: i32): i32
@external("env", "proxy_remove_header_map_value")
export declare function proxy_remove_header_map_value(map: i32, key: usize, keySize: i32): i32

@external("env", "proxy_get_buffer_bytes")
export declare function proxy_get_buffer_bytes(buffer: i32, start: i32, length: i32, outBytes: usize, outSize: usize): i32
@external("env", "proxy_set_buffer_bytes")
export declare function proxy_set_buffer_bytes(buffer: i32, start: i32, length: i32, bytes: usize, size: i32): i32

@external("env", "proxy_get_property")
export declare function proxy_get_property(path: usize, pathSize: i32, outValue: usize, outSize: usize): i32
@external("env", "proxy_send_local_response")
export declare function proxy_send_local_response(status: i32, details: usize, detailsSize: i32, body: usize, bodySize: i32, headers: usize, headersSize: i32, grpcStatus: i32): i32

@external("env", "proxy_define_metric")
export declare function proxy_define_metric(kind: i32, name: usize, nameSize: i32, outId: usize): i32
@external("env", "proxy_increment_metric")
export declare function proxy_increment_metric(id: u32, delta: i64): i32
@external("env", "proxy_record_metric")
export declare function proxy_record_metric(id: u32, value: u64): i32

@external("env", "proxy_get_current_time_nanoseconds")
export declare function proxy_get_current_time_nanoseconds(outTime: usize): i32

export namespace Status {
  export const OK: i32 = 0
}

export namespace HeaderMap {
  export const REQUEST: i32 = 0
  export const RESPONSE: i32 = 2
  export const RESPONSE_TRAILERS: i32 = 3
}

export namespace BufferKind {
  export const REQUEST_BODY: i32 = 0
  export const PLUGIN_CONFIGURATION: i32 = 7
}

export namespace MetricKind {
  export const COUNTER: i32 = 0
  export const HISTOGRAM: i32 = 2
}

export namespace LogLevel {
  export const WARN: i32 = 3
}

/** What `proxy_on_request_headers` returns. */
export namespace HeadersAction {
  export const CONTINUE: i32 = 0
  /** The body keeps coming to the filter (`allow_on_headers_stop_iteration`); the headers wait. */
  export const STOP: i32 = 1
}

/** What `proxy_on_request_body` returns. */
export namespace BodyAction {
  export const CONTINUE: i32 = 0
  /** Envoy keeps what came, and the next call sees all of it. */
  export const STOP_AND_BUFFER: i32 = 1
  /** Envoy drops what came: the request is answered already. */
  export const STOP: i32 = 3
}

/** `proxy_send_local_response` without a gRPC status. */
export const NO_GRPC_STATUS: i32 = -1
