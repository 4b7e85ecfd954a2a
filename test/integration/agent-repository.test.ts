import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listArtifactFiles } from '../../agent/repository/artifact-files.ts'
import { resolveArtifact, resolveRoots } from '../../agent/repository/artifact-uri.ts'
import { createDesiredFile } from '../../agent/repository/desired-file.ts'
import { embeddedLayout } from '../../agent/repository/layouts/embedded.ts'
import { openModelRepository } from '../../agent/repository/model-repository.ts'
import { silentLogger } from '../../kit/log.ts'
import { known, model } from '../unit/agent/models.ts'

let folder: string
let root: string
let repository: string
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'millrace-repository-')))
  root = join(folder, 'root')
  repository = join(folder, 'repository')
  await write('root/iris/model.onnx', 'weights')
  await write('secret/key', 'secret')
  await mkdir(repository)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function write(path: string, content: string): Promise<void> {
  await mkdir(join(folder, path, '..'), { recursive: true })
  await writeFile(join(folder, path), content)
}

describe('the URI of an artefact', () => {
  it('may be a path or a file URI inside a root', async () => {
    const roots = await resolveRoots([root])
    const path = join(root, 'iris')
    expect(await resolveArtifact(path, roots)).toBe(path)
    expect(await resolveArtifact(`${path}/`, roots)).toBe(path)
    expect(await resolveArtifact(pathToFileURL(path).href, roots)).toBe(path)
    expect(await resolveArtifact(`file://localhost${path}`, roots)).toBe(path)
    expect(await resolveArtifact(join(root, '../root/iris'), roots)).toBe(path)
  })

  it('may lead through links as long as it ends inside, and a root may be a link itself', async () => {
    await symlink(join(root, 'iris'), join(root, 'latest'))
    await symlink(root, join(folder, 'linked-root'))
    const roots = await resolveRoots([join(folder, 'linked-root')])
    expect(await resolveArtifact(join(folder, 'linked-root/latest'), roots)).toBe(join(root, 'iris'))
  })

  it.each([
    ['outside the roots', () => join(folder, 'secret'), /which is outside --artifact-roots/],
    ['outside, whether it exists or not', () => join(folder, 'nothing'), /which is outside --artifact-roots/],
    ['out with dots', () => `${root}/../secret`, /which is outside --artifact-roots/],
    ['out with encoded dots', () => `file://${root}/%2e%2e/secret`, /which is outside --artifact-roots/],
    ['beside a root with the same beginning', () => `${root}-too`, /which is outside --artifact-roots/],
    ['another scheme', () => 'gs://bucket/iris', /scheme gs is not supported/],
    ['an rclone remote', () => 's3:bucket/iris', /scheme s3 is not supported/],
    ['a relative path', () => 'iris', /is not an absolute path/],
    ['nothing', () => '', /is not an absolute path/],
    ['a file on another host', () => 'file://elsewhere/iris', /is not a valid file URI/],
    ['a zero byte', () => `${root}/iris\0`, /zero byte/],
  ])('is refused when it is %s', async (_name, uri, message) => {
    const refusal = resolveArtifact(uri(), await resolveRoots([root]))
    await expect(refusal).rejects.toMatchObject({
      code: 'ARTIFACT_URI_REFUSED',
      message: expect.stringMatching(message) as unknown,
    })
  })

  it('is refused when a link leads out, naming where to', async () => {
    await symlink(join(folder, 'secret'), join(root, 'escape'))
    await expect(resolveArtifact(join(root, 'escape'), await resolveRoots([root]))).rejects.toThrow(
      `leads to ${join(folder, 'secret')}, which is outside`,
    )
  })

  it('is refused when no roots are allowed', async () => {
    await expect(resolveArtifact(join(root, 'iris'), [])).rejects.toThrow("the agent's --artifact-roots is empty")
  })

  it('is not found inside a root', async () => {
    await expect(resolveArtifact(join(root, 'nothing'), await resolveRoots([root]))).rejects.toMatchObject({
      code: 'ARTIFACT_NOT_FOUND',
      message: `storageUri "${join(root, 'nothing')}": does not exist on the machine of the agent`,
    })
  })
})

describe('the files of an artefact', () => {
  it('are listed through links that stay inside', async () => {
    await write('root/iris/sub/a', '12')
    await symlink(join(root, 'iris/model.onnx'), join(root, 'iris/alias'))
    const files = await listArtifactFiles(join(root, 'iris'), [root])
    expect(Object.fromEntries(files.map(({ relative, bytes }) => [relative, bytes]))).toEqual({
      alias: 7,
      'model.onnx': 7,
      'sub/a': 2,
    })
  })

  it.each([
    ['a file link that leads out', () => symlink(join(folder, 'secret/key'), join(root, 'iris/key')), /key leads to/],
    ['a folder link that leads out', () => symlink(join(folder, 'secret'), join(root, 'iris/all')), /all leads to/],
    ['a link to nothing', () => symlink(join(root, 'gone'), join(root, 'iris/x')), /x: is a link to nothing/],
    ['a link to its own folder', () => symlink(join(root, 'iris'), join(root, 'iris/loop')), /folders deep/],
    [
      'a named pipe',
      () => Promise.resolve(execFileSync('mkfifo', [join(root, 'iris/pipe')])),
      /pipe: is neither a file nor a folder/,
    ],
  ])('are refused: %s', async (_name, make, message) => {
    await make()
    await expect(listArtifactFiles(join(root, 'iris'), [root])).rejects.toThrow(message)
  })
})

describe('the repository', () => {
  const open = (layout = embeddedLayout) =>
    openModelRepository({
      folder: repository,
      artifactRoots: [root],
      layout,
      ingress: { url: 'http://127.0.0.1:9000' },
    })
  const iris = (other = {}) => model('iris_1', { storageUri: join(root, 'iris'), ...other })
  const content = (path: string) => readFile(join(repository, path), 'utf8')

  it('puts a model in place, remembers it, and removes it', async () => {
    const opened = await open()
    const stored = await opened.prepare(iris())
    expect(stored).toEqual({ specKey: iris().specKey, attempt: 1, artifactBytes: 7 })
    expect(await content('iris_1/model.onnx')).toBe('weights')
    expect((await stat(join(repository, 'iris_1'))).mode & 0o777).toBe(0o755) // the server may be another user
    expect(await (await open()).list()).toEqual(new Map([['iris_1', stored]]))
    await opened.remove('iris_1')
    await opened.remove('iris_1')
    expect((await opened.list()).size).toBe(0)
    expect(await readdir(repository)).toEqual(['.millrace'])
  })

  it('takes the folder of the version that is asked for', async () => {
    await write('root/many/1/model.onnx', 'one')
    await write('root/many/2/model.onnx', 'two')
    const opened = await open()
    await opened.prepare(model('a_1', { storageUri: join(root, 'many') }))
    await opened.prepare(model('b_1', { storageUri: join(root, 'many'), artifactVersion: 1 }))
    expect([await content('a_1/model.onnx'), await content('b_1/model.onnx')]).toEqual(['two', 'one'])
  })

  it('refuses a version folder that is a link out of the roots', async () => {
    await mkdir(join(root, 'many'))
    await symlink(join(folder, 'secret'), join(root, 'many/1'))
    await expect((await open()).prepare(model('a_1', { storageUri: join(root, 'many') }))).rejects.toMatchObject({
      code: 'ARTIFACT_URI_REFUSED',
    })
  })

  it('copies again only when the spec changed or the attempt grew', async () => {
    const opened = await open()
    await opened.prepare(iris())
    await write('root/iris/model.onnx', 'trained again')
    await opened.prepare(iris())
    expect(await content('iris_1/model.onnx')).toBe('weights')
    expect((await opened.prepare(iris({ attempt: 2 }))).artifactBytes).toBe(13)
    expect(await content('iris_1/model.onnx')).toBe('trained again')
    await opened.prepare(iris({ attempt: 2, parameters: { a: '1' } }))
    expect(JSON.parse(await content('iris_1/model.json'))).toMatchObject({ parameters: { a: '1' } })
  })

  it('leaves what stands, and nothing half done, when it cannot finish', async () => {
    await (await open()).prepare(iris())
    const full = { ...embeddedLayout, describe: () => Promise.reject(new Error('ENOSPC: no space left on device')) }
    const opened = await open(full)
    await expect(opened.prepare(iris({ attempt: 2 }))).rejects.toMatchObject({
      code: 'ARTIFACT_COPY_FAILED',
      message: expect.stringMatching(/iris": ENOSPC: no space left on device$/) as unknown,
    })
    expect(await content('iris_1/model.onnx')).toBe('weights')
    expect(await readdir(join(repository, '.millrace/tmp'))).toEqual([])
  })

  it('is made again when somebody removed it while the agent runs', async () => {
    const opened = await open()
    await opened.prepare(model('a_1', { storageUri: join(root, 'iris') }))
    await rm(repository, { recursive: true })
    expect([...(await opened.list())]).toEqual([])
    await opened.remove('a_1')
    await opened.prepare(model('a_1', { storageUri: join(root, 'iris') }))
    expect([...(await opened.list()).keys()]).toEqual(['a_1'])
  })

  it('clears away what an agent that died left half done', async () => {
    await write('repository/.millrace/tmp/build-x/model.onnx', 'half')
    await open()
    expect(await readdir(join(repository, '.millrace/tmp'))).toEqual([])
  })

  it('neither lists nor removes folders that no agent made', async () => {
    await write('repository/theirs/file', 'x')
    const opened = await open()
    await opened.remove('theirs')
    expect((await opened.list()).size).toBe(0)
    expect(await content('theirs/file')).toBe('x')
  })

  it.each(['../iris', '.millrace', 'a/b', ''])('refuses the internal name %j', async (internalName) => {
    const refusal = (await open()).prepare(model(internalName, { storageUri: join(root, 'iris') }))
    await expect(refusal).rejects.toThrow(/cannot name a folder/)
  })

  it('refuses an artefact that is a file', async () => {
    const storageUri = join(root, 'iris/model.onnx')
    const refusal = (await open()).prepare(model('a_1', { storageUri }))
    await expect(refusal).rejects.toThrow(`storageUri "${storageUri}": is a file; name the folder that holds it`)
  })

  it('refuses an empty artefact', async () => {
    await mkdir(join(root, 'empty'))
    const refusal = (await open()).prepare(model('a_1', { storageUri: join(root, 'empty') }))
    await expect(refusal).rejects.toMatchObject({ code: 'ARTIFACT_NOT_FOUND' })
  })
})

describe('the file of the desired state', () => {
  const file = () => createDesiredFile({ folder: repository, log: silentLogger })

  it('gives back what was saved, not confirmed', async () => {
    const desired = known([model('a_1', { artifactVersion: 2, parameters: { p: '1' } })], { generation: 9 })
    await file().save(desired)
    expect(await file().load()).toEqual({ ...desired, confirmed: false })
  })

  it.each([
    ['missing', undefined],
    ['cut off', '{"schemaVersion":1,"epo'],
    ['of another version', '{"schemaVersion":2}'],
  ])('counts for nothing when it is %s', async (_name, text) => {
    if (text !== undefined) await write('repository/.millrace/desired.json', text)
    expect(await file().load()).toEqual({ kind: 'Unknown' })
  })
})
