import { describe, expect, it } from 'vitest'
import { selectVersionFolder } from '../../../agent/repository/artifact-version.ts'
import { toModelJson } from '../../../agent/repository/layouts/embedded.ts'
import { model } from './models.ts'

describe('the folder of an artefact', () => {
  it.each([
    ['the highest number when none is asked for', ['1', '2', '3'], [], undefined, '3'],
    ['numbers are compared as numbers', ['9', '10'], [], undefined, '10'],
    ['the one that is asked for', ['1', '2', '3'], [], 2, '2'],
    ['leading zeros do not matter', ['01', '002'], [], 2, '002'],
    ['a root with a description, when none is asked for', ['1'], ['model.json'], undefined, ''],
    ['the one that is asked for, even so', ['1'], ['model.json'], 1, '1'],
    ['the root without numbered folders', ['weights'], ['model.onnx'], undefined, ''],
    ['a file with a number for a name is no version', [], ['7'], undefined, ''],
  ])('%s', (_name, folders, files, requested, expected) => {
    expect(selectVersionFolder({ folders, files }, requested, 'model.json')).toBe(expected)
  })

  it.each([
    ['is not there', ['x', '1', '3'], 2, 'artifactVersion 2 is not in the artefact: it has 1, 3'],
    ['is not there, nor any other', ['x'], 2, 'artifactVersion 2 is not in the artefact: it has no numbered folders'],
    ['is ambiguous', ['2', '02'], 2, 'artifactVersion 2 is there more than once: it has 2, 02'],
  ])('the version that is asked for %s', (_name, folders, requested, message) => {
    expect(() => selectVersionFolder({ folders, files: ['model.json'] }, requested, 'model.json')).toThrow(message)
  })
})

describe('model.json for the embedded server', () => {
  const given = model('iris_3', { parameters: { b: 'given', c: 'given' } })

  it('keeps what the artefact says, under the internal name, with parameters laid over its own', () => {
    const own = JSON.stringify({
      name: 'iris',
      platform: 'onnx',
      parameters: { a: 1, b: 'own' },
      inputs: [{ name: 'x' }],
    })
    expect(toModelJson(own, given)).toEqual({
      name: 'iris_3',
      platform: 'onnx',
      parameters: { a: 1, b: 'given', c: 'given' },
      inputs: [{ name: 'x' }],
    })
  })

  it('is made when the artefact has none', () => {
    expect(toModelJson(undefined, given)).toEqual({ name: 'iris_3', parameters: { b: 'given', c: 'given' } })
  })

  it.each([
    ['not JSON', '{'],
    ['a list', '[]'],
    ['null', 'null'],
    ['parameters that are no object', '{"parameters":[1]}'],
  ])('is refused: %s', (_name, source) => {
    expect(() => toModelJson(source, given)).toThrow(/^model\.json of the artefact: /)
  })
})
