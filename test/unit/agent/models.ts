/** Short ways to write states in tables. */
import { type Desired, type DesiredModel, toSpecKey } from '../../../agent/desired/desired.ts'
import type { StoredModel } from '../../../agent/repository/stored-model.ts'

export function model(internalName: string, other: Partial<Omit<DesiredModel, 'specKey'>> = {}): DesiredModel {
  const spec = { storageUri: '/models/iris', requirements: [], parameters: {}, ...other }
  return {
    internalName,
    modelName: internalName.split('_')[0] ?? '',
    version: 1,
    memoryBytes: 10,
    attempt: 1,
    ...spec,
    specKey: toSpecKey(spec),
  }
}

export const known = (
  models: readonly DesiredModel[],
  other: { readonly generation?: number; readonly confirmed?: boolean } = {},
): Desired => ({
  kind: 'Known',
  epoch: 'e1',
  generation: 1,
  confirmed: true,
  models: new Map(models.map((each) => [each.internalName, each])),
  ...other,
})

export const stored = (other: Partial<StoredModel> = {}): StoredModel => ({
  specKey: model('any').specKey,
  attempt: 1,
  artifactBytes: 5,
  ...other,
})
