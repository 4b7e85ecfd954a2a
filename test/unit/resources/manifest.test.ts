import { describe, expect, it } from 'vitest'
import { parseManifests } from '../../../api/resources/manifest.ts'
import { ServingError } from '../../../kit/errors.ts'

const source = { name: 'models.yaml', folder: '/work/manifests' }
const MODEL = `apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata:
  name: iris
spec:
  storageUri: ./iris
`
const uriOf = (storageUri: string): unknown => {
  const [manifest] = parseManifests(MODEL.replace('./iris', JSON.stringify(storageUri)), source)
  return manifest?.resource.kind === 'Model' ? manifest.resource.spec.storageUri : undefined
}

function refusalOf(text: string): ServingError {
  try {
    parseManifests(text, source)
  } catch (error) {
    if (error instanceof ServingError) return error
  }
  throw new Error('was accepted')
}

describe('manifest', () => {
  it('reads every document of a file and says where each begins', () => {
    const text = `# two models\n${MODEL}---\n---\n${MODEL.replace('name: iris', 'name: wine')}`
    const manifests = parseManifests(text, source)
    expect(manifests.map((m) => [m.resource.metadata.name, m.location])).toEqual([
      ['iris', 'models.yaml:2'],
      ['wine', 'models.yaml:10'],
    ])
  })

  it('reads JSON, and a List of resources', () => {
    const resource = { apiVersion: 'mlops.seldon.io/v1alpha1', kind: 'Server', metadata: { name: 's' }, spec: {} }
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [resource, resource] }, undefined, 2)
    expect(parseManifests(list, source).map((m) => m.resource)).toEqual([resource, resource])
  })

  it.each(['', '\n', '# nothing\n', '---\n', '---\n---\n'])('finds nothing in %j', (text) => {
    expect(parseManifests(text, source)).toEqual([])
  })

  it.each([
    ['./iris', '/work/manifests/iris'],
    ['iris', '/work/manifests/iris'],
    ['../iris', '/work/iris'],
    ['/abs/iris', '/abs/iris'],
    ['file:///abs/iris', 'file:///abs/iris'],
    ['gs://bucket/iris', 'gs://bucket/iris'],
    ['remote:path', 'remote:path'],
  ])('takes storageUri %s relative to the manifest: %s', (written, read) => {
    expect(uriOf(written)).toBe(read)
  })

  it('names file, line and path of every problem in every document', () => {
    const wrong = MODEL.replace('storageUri', 'storagUri').replace('name: iris', 'name: [iris]')
    const { code, issues } = refusalOf(`${wrong}---\n${MODEL.replace('Model', 'Modle')}`)
    expect(code).toBe('MANIFEST_INVALID')
    expect(issues).toEqual([
      { path: 'models.yaml:4 metadata.name', message: 'must be text, not ["iris"]' },
      { path: 'models.yaml:6 spec.storagUri', message: 'unknown field; did you mean storageUri?' },
      { path: 'models.yaml:6 spec.storageUri', message: 'is required' },
      { path: 'models.yaml:9 kind', message: '"Modle" is not a kind of this version; did you mean Model?' },
    ])
  })

  it('names the line of a problem inside a List', () => {
    const { issues } = refusalOf('apiVersion: v1\nkind: List\nitems:\n- kind: Model\n- kind: Nothing\n')
    expect(issues.map((issue) => issue.path)).toContain('models.yaml:5 items[1].kind')
  })

  it.each([
    ['a list that does not end', 'kind: Model\nspec: [1,\n', 'models.yaml:3'],
    ['a repeated key', `${MODEL}kind: Server\n`, 'models.yaml:7'],
    ['an alias that leads nowhere', `---\n---\nkind: Model\nspec: *missing\n`, 'models.yaml:3'],
  ])('reports %s with its line', (_name, text, location) => {
    expect(refusalOf(text).issues.map((issue) => issue.path)).toContain(location)
  })

  it('refuses a bomb of aliases', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]']
    for (const [from, to] of ['ab', 'bc', 'cd', 'de'].map((pair) => pair.split('')))
      bomb.push(
        `${to ?? ''}: &${to ?? ''} [${Array(9)
          .fill(`*${from ?? ''}`)
          .join(', ')}]`,
      )
    expect(refusalOf(bomb.join('\n')).message).toMatch(/alias/i)
  })
})
