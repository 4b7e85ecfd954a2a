/**
 * What Envoy 1.40 understands and the bundled protos do not: fields added to their messages, and messages that are
 * missing altogether. Only what the translators use. The field numbers are facts of Envoy's API.
 */

/** Files whose messages the translators name, directly or inside an `Any`. */
export const BUNDLED_FILES = [
  'envoy/config/bootstrap/v3/bootstrap.proto',
  'envoy/config/common/mutation_rules/v3/mutation_rules.proto',
  'envoy/config/listener/v3/listener.proto',
  'envoy/extensions/access_loggers/file/v3/file.proto',
  'envoy/extensions/access_loggers/stream/v3/stream.proto',
  'envoy/extensions/filters/http/router/v3/router.proto',
  'envoy/extensions/formatter/req_without_query/v3/req_without_query.proto',
  'envoy/extensions/filters/http/upstream_codec/v3/upstream_codec.proto',
  'envoy/extensions/filters/http/wasm/v3/wasm.proto',
  'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
  'envoy/extensions/request_id/uuid/v3/uuid.proto',
  'envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto',
  'envoy/extensions/transport_sockets/tls/v3/tls.proto',
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
  'envoy/service/discovery/v3/ads.proto',
  'envoy/type/matcher/v3/http_inputs.proto',
  'xds/type/matcher/v3/matcher.proto',
] as const

/** Messages that the bundled protos lack. */
export const MISSING_MESSAGES = [
  `syntax = "proto3";
  package envoy.extensions.wasm.v3;
  import "envoy/config/core/v3/backoff.proto";
  enum FailurePolicy { UNSPECIFIED = 0; FAIL_RELOAD = 1; FAIL_CLOSED = 2; FAIL_OPEN = 3; }
  message ReloadConfig { envoy.config.core.v3.BackoffStrategy backoff = 1; }`,
  `syntax = "proto3";
  package envoy.extensions.router.cluster_specifiers.matcher.v3;
  import "xds/type/matcher/v3/matcher.proto";
  message MatcherClusterSpecifier { xds.type.matcher.v3.Matcher cluster_matcher = 1; }
  message ClusterAction { string cluster = 1; }`,
] as const

/** Fields that messages of the bundled protos lack. */
export const MISSING_FIELDS = [
  {
    message: 'envoy.extensions.wasm.v3.PluginConfig',
    name: 'failure_policy',
    id: 7,
    type: '.envoy.extensions.wasm.v3.FailurePolicy',
  },
  {
    message: 'envoy.extensions.wasm.v3.PluginConfig',
    name: 'reload_config',
    id: 8,
    type: '.envoy.extensions.wasm.v3.ReloadConfig',
  },
  {
    message: 'envoy.extensions.wasm.v3.PluginConfig',
    name: 'allow_on_headers_stop_iteration',
    id: 9,
    type: '.google.protobuf.BoolValue',
  },
  {
    message: 'envoy.config.route.v3.RouteAction.RequestMirrorPolicy',
    name: 'request_headers_mutations',
    id: 7,
    rule: 'repeated',
    type: '.envoy.config.common.mutation_rules.v3.HeaderMutation',
  },
  {
    message: 'envoy.config.route.v3.DirectResponseAction',
    name: 'body_format',
    id: 3,
    type: '.envoy.config.core.v3.SubstitutionFormatString',
  },
] as const
