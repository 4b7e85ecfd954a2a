/** The xDS library: IR in, Envoy configured over delta ADS. Knows nothing of models. The only file others import. */
export type {
  CandidateIr,
  ChangeIr,
  DestinationIr,
  EndpointIr,
  EndpointSetIr,
  HeaderMatchIr,
  RouteIr,
  SplitIr,
  SplitMirrorIr,
} from './ir/types.ts'

export { createXdsServer, type XdsServer, type XdsServerDeps } from './server/ads.ts'
export type { NodeStatus, Refusal, XdsEvents, XdsLogger } from './server/events.ts'
export { SILENCE_MS } from './server/node.ts'
export type { ListenerOptions } from './translate/listener.ts'
