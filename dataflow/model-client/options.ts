/** The options of a process that calls models through Envoy. */
import { Type } from 'typebox'

export const ingressOptions = {
  ingress: Type.String({
    minLength: 1,
    pattern: '^https?://[^/]+$',
    default: 'http://127.0.0.1:9000',
    description: "URL of Envoy's ingress, through which models are called.",
  }),
  ingressConnections: Type.Integer({
    minimum: 1,
    default: 512,
    description: 'Connections to the ingress at the same time; each carries one call of a model, further calls wait.',
  }),
}
