/**
 * What an agent is told first. I9: models that another life of the store knew are kept on the agent: an agent whose epoch
 * was not made by this store was instructed from state that is lost, so what is unknown here is not unloaded.
 */
import { randomUUID } from 'node:crypto'
import type { Hello__Output } from '../../api/generated/millrace/agent/v1/Hello.ts'
import type { DesiredModelVersion } from '../domain/desired.ts'
import type { InternalName } from '../domain/documents.ts'
import { createLedger, type Ledger, type LedgerDifference } from './ledger.ts'

export interface Introduction {
  readonly ledger: Ledger
  readonly full: boolean
  readonly difference: LedgerDifference
  /** Loaded there, unknown to this store, kept. */
  readonly kept: readonly InternalName[]
}

/** Epochs name the store that they come from. */
export const isEpochOf = (storeId: string, epoch: string): boolean => epoch.startsWith(`${storeId}/`)

export function introduce(options: {
  readonly storeId: string
  /** The numbering that this scheduler keeps for the replica, if the agent was here before. */
  readonly known: Ledger | undefined
  readonly hello: Hello__Output
  readonly desired: readonly DesiredModelVersion[]
}): Introduction {
  const { storeId, known, hello, desired } = options
  const has = Number(hello.generation)
  if (known !== undefined && known.epoch === hello.epoch) {
    const difference = known.since(has)
    if (difference !== undefined) return { ledger: known, full: false, difference, kept: [] }
  }
  const wanted = new Set<string>(desired.map((model) => model.internalName))
  const unknown = hello.models.filter((model) => !wanted.has(model.internalName))
  if (hello.epoch !== '' && !isEpochOf(storeId, hello.epoch) && unknown.length > 0) {
    // Its own numbering goes on, because only a full message would unload what is not named.
    const ledger = createLedger(hello.epoch, desired, has + 1)
    const kept = unknown.map((model) => model.internalName as InternalName)
    return { ledger, full: false, difference: ledger.everything(), kept }
  }
  const ledger = createLedger(`${storeId}/${randomUUID()}`, desired)
  return { ledger, full: true, difference: ledger.everything(), kept: [] }
}
