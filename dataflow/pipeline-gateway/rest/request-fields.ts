/** What the headers of a REST request say, read in one pass. Pure. */
import { JSON_LENGTH_HEADER } from '../../../api/oip/rest-message.ts'
import { type Field, type Fields, isPrintable } from '../../../kit/http1/fields.ts'
import type { CallHeaders } from '../../model-client/model-client.ts'
import {
  type CallFields,
  INTERNAL_MODEL_HEADER,
  isPassed,
  MODEL_HEADER,
  REQUEST_ID_HEADER,
  TIMEOUT_HEADER,
} from '../call.ts'

export interface RequestFields extends CallFields {
  /** The last. */
  readonly jsonLength: string | undefined
  /** For the steps and the journal. */
  readonly passed: CallHeaders
}

export function toRequestFields(fields: Fields): RequestFields {
  let internalModel: string | undefined
  let model: string | undefined
  let requestId: string | undefined
  let timeoutMs: string | undefined
  let jsonLength: string | undefined
  const passed: Field[] = []
  for (const field of fields) {
    const [name, value] = field
    switch (name) {
      case INTERNAL_MODEL_HEADER:
        internalModel = value
        break
      case MODEL_HEADER:
        model = value
        break
      case REQUEST_ID_HEADER:
        requestId ??= value
        break
      case TIMEOUT_HEADER:
        timeoutMs = value
        break
      case JSON_LENGTH_HEADER:
        jsonLength = value
        break
      default:
        if (isPassed(name) && isPrintable(value)) passed.push(field) // gRPC carries nothing else
    }
  }
  return { internalModel, model, requestId, timeoutMs, jsonLength, passed }
}
