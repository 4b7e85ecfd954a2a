import { TARGET_HEADER, typeUrl } from './names.ts'

/** Prints what was routed to, without its shard; needs `FORMATTERS` beside the format. */
export const TARGET = `%REQ_WITHOUT_QUERY(${TARGET_HEADER.toUpperCase()})%`

export const FORMATTERS = {
  formatters: [
    {
      name: 'envoy.formatter.req_without_query',
      typed_config: { '@type': typeUrl('envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery') },
    },
  ],
} as const
