import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { StoredModel, StoredServer } from '../../api/resources/status.ts'
import { ServingError } from '../../kit/errors.ts'
import { type FakeAdmin, startFakeAdmin } from '../support/fake-admin.ts'
import { type CliResult, runCli } from '../support/run-cli.ts'

const apiVersion = 'mlops.seldon.io/v1alpha1'
const manifest = (name: string, spec = 'storageUri: ./artefact'): string =>
  `apiVersion: ${apiVersion}\nkind: Model\nmetadata:\n  name: ${name}\nspec:\n  ${spec}\n`

const iris: StoredModel = {
  apiVersion,
  kind: 'Model',
  metadata: { name: 'iris', labels: { team: 'flowers' }, creationTimestamp: new Date(Date.now() - 3 * 3_600_000) },
  spec: { storageUri: '/models/iris', memory: '100Ki' },
  status: {
    state: 'ModelAvailable',
    replicas: 2,
    availableReplicas: 1,
    version: 3,
    servingVersion: 2,
    server: 'embedded',
    versions: [
      {
        version: 3,
        state: 'ModelProgressing',
        reason: 'loading',
        server: 'embedded',
        memoryBytes: 102_400,
        replicas: [{ replica: 'embedded/0', state: 'LoadFailed', reason: 'no such file' }],
      },
    ],
    history: [
      { version: 2, storageUri: '/models/iris-2' },
      { version: 3, storageUri: '/models/iris' },
    ],
  },
}
const wine: StoredModel = {
  apiVersion,
  kind: 'Model',
  metadata: { name: 'wine' },
  spec: { storageUri: '/models/wine' },
  status: {
    state: 'ScheduleFailed',
    reason: 'no server can take it',
    placement: {
      reason: 'no server can take it',
      servers: [{ server: 'embedded', filter: 'memory', detail: 'needs 2.0 GiB, has 1.0 GiB' }],
    },
  },
}
const embedded: StoredServer = {
  apiVersion,
  kind: 'Server',
  metadata: { name: 'embedded' },
  spec: { replicas: 2, podSpec: {} },
  status: {
    state: 'ServerReady',
    replicas: 2,
    availableReplicas: 2,
    loadedModels: 1,
    replicaStatuses: [
      {
        replica: 'embedded/0',
        address: '127.0.0.1',
        restPort: 9100,
        grpcPort: 9101,
        health: 'serving',
        agent: 'connected',
        draining: false,
        memoryBytes: 1_073_741_824,
        availableMemoryBytes: 536_870_912,
        capabilities: ['onnx', 'embedded'],
        loadedModels: 1,
      },
    ],
  },
}

let admin: FakeAdmin
let folder: string
const cli = (...argv: string[]): Promise<CliResult> => runCli([...argv, '--scheduler', admin.address])

beforeEach(async () => {
  admin = await startFakeAdmin()
  folder = await mkdtemp(join(tmpdir(), 'millrace-cli-'))
})
afterEach(async () => {
  await admin.stop()
  await rm(folder, { recursive: true })
})

describe('apply', () => {
  it('says created, changed or unchanged of each resource, and what is only stored', async () => {
    const file = join(folder, 'models.yaml')
    await writeFile(file, `${manifest('iris')}---\n${manifest('wine')}`)
    expect(await cli('apply', '-f', file)).toEqual({
      code: 0,
      out: 'model/iris created\nmodel/wine created\n',
      err: '',
    })
    await writeFile(file, `${manifest('iris', 'storageUri: ./other\n  preloaded: true')}---\n${manifest('wine')}`)
    expect(await cli('apply', '-f', file)).toEqual({
      code: 0,
      out: 'model/iris changed\nmodel/wine unchanged\n',
      err: 'warning: model/iris spec.preloaded: is not used\n',
    })
    const sent = admin.applied.map((request) => JSON.parse(request.resourceJson) as StoredModel)
    expect(sent[0]?.spec.storageUri).toBe(join(folder, 'artefact'))
  })

  it('lets the scheduler check everything in a dry run', async () => {
    const result = await runCli(['apply', '--dry-run', '-f', '-', '--scheduler', admin.address], {
      input: manifest('iris'),
      cwd: folder,
    })
    expect(result).toEqual({ code: 0, out: 'model/iris created (dry run)\n', err: '' })
    expect(admin.applied.map((request) => request.dryRun)).toEqual([true])
    expect((await cli('get', 'model', 'iris')).code).toBe(5)
  })

  it('goes on after a failure, lists every one, and does not apply what is wrong', async () => {
    const manifests = join(folder, 'manifests')
    await mkdir(manifests)
    await writeFile(join(manifests, 'a.yaml'), manifest('iris', 'storagUri: ./a\n  replicas: two'))
    await writeFile(join(manifests, 'b.yml'), manifest('wine'))
    await writeFile(join(manifests, 'c.json'), '{')
    await writeFile(join(manifests, 'ignored.txt'), '{')
    const result = await cli('apply', '-f', manifests, '-f', join(folder, 'missing.yaml'))
    expect(result.code).toBe(3)
    expect(result.out).toBe('model/wine created\n')
    const errors = result.err.split('\n').filter((line) => line.startsWith('error: MANIFEST_INVALID: '))
    expect(errors).toHaveLength(5)
    expect(result.err).toContain(
      `${join(manifests, 'a.yaml')}:6 spec.storagUri: unknown field; did you mean storageUri?`,
    )
    expect(result.err).toContain(`${join(manifests, 'a.yaml')}:7 spec.replicas: must be a whole number, not "two"`)
    expect(result.err).toContain('spec.storageUri: is required')
    expect(result.err).toContain(join(manifests, 'c.json'))
    expect(result.err).toContain('missing.yaml: cannot be read')
    expect(result.err).toContain('help: Correct the manifest at the path that the message names.')
  })

  it("prints the scheduler's refusal with the manifest it is about", async () => {
    const file = join(folder, 'models.yaml')
    await writeFile(file, `# first\n${manifest('iris')}`)
    admin.failWith(new ServingError('MODEL_SPEC_INVALID', 'metadata.name: too long'))
    const result = await cli('apply', '-f', file)
    expect(result.code).toBe(3)
    expect(result.err).toBe(
      `error: MODEL_SPEC_INVALID: ${file}:2: Model iris: metadata.name: too long\n` +
        'help: Correct the fields that the message lists.\n',
    )
  })

  it('refuses the same resource twice and manifests that hold nothing', async () => {
    const file = join(folder, 'models.yaml')
    await writeFile(file, `${manifest('iris')}---\n${manifest('iris')}`)
    expect((await cli('apply', '-f', file)).err).toContain(`${file}:8: Model iris is already defined at ${file}:1`)
    await writeFile(file, '# nothing\n')
    expect(await cli('apply', '-f', file)).toMatchObject({ code: 3, err: expect.stringContaining('no resource in it') })
  })

  it('prints the outcomes for machines', async () => {
    const file = join(folder, 'models.yaml')
    await writeFile(file, manifest('iris'))
    const outcomes = JSON.parse((await cli('apply', '-f', file, '-o', 'json')).out) as unknown
    expect(outcomes).toMatchObject([{ outcome: 'created', resource: { metadata: { name: 'iris' } }, warnings: [] }])
  })
})

describe('get', () => {
  beforeEach(() => {
    for (const resource of [iris, wine, embedded]) admin.put(JSON.parse(JSON.stringify(resource)) as typeof resource)
  })

  it('prints a table for people, without colours when it is piped', async () => {
    expect(await cli('get', 'models')).toEqual({
      code: 0,
      out: [
        'NAME   STATE            READY   VERSION   SERVER     AGE   REASON',
        'iris   ModelAvailable   1/2     2 -> 3    embedded   3h    -',
        'wine   ScheduleFailed   0/1     -         -          -     no server can take it',
        '',
      ].join('\n'),
      err: '',
    })
    expect((await cli('get', 'mls')).out).toBe(
      'NAME       STATE         READY   MODELS   AGE   REASON\nembedded   ServerReady   2/2     1        -     -\n',
    )
  })

  it('reads every page', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) admin.put({ ...wine, metadata: { name } })
    expect((await cli('get', 'models', '--output', 'name')).out).toBe(
      ['a', 'b', 'c', 'd', 'e', 'iris', 'wine'].map((name) => `model/${name}\n`).join(''),
    )
  })

  it('prints JSON and YAML that can be applied again', async () => {
    const one = await cli('get', 'model', 'iris', '--output', 'json')
    expect(JSON.parse(one.out)).toEqual(JSON.parse(JSON.stringify(iris)))
    const list = JSON.parse((await cli('get', 'mlm', '-o', 'json')).out) as { kind: string; items: unknown[] }
    expect([list.kind, list.items.length]).toEqual(['List', 2])
    const yaml = await cli('get', 'model/iris', '-o', 'yaml')
    expect(parse(yaml.out)).toEqual(JSON.parse(JSON.stringify(iris)))
    const again = await runCli(['apply', '-f', '-', '--scheduler', admin.address], { input: yaml.out })
    expect([again.code, again.out]).toEqual([0, 'model/iris unchanged\n'])
  })

  it('says when there is none, on standard error', async () => {
    admin.remove('Server', 'embedded')
    expect(await cli('get', 'servers')).toEqual({ code: 0, out: '', err: 'no servers\n' })
    expect(JSON.parse((await cli('get', 'servers', '-o', 'json')).out)).toMatchObject({ items: [] })
  })

  it('exits 5 for what does not exist', async () => {
    expect(await cli('get', 'model', 'rose')).toEqual({
      code: 5,
      out: '',
      err: 'error: MODEL_NOT_FOUND: model rose does not exist\nhelp: Check the name with `millrace get models`.\n',
    })
  })
})

describe('describe', () => {
  it('shows versions, replicas, history and events of a model', async () => {
    admin.put(JSON.parse(JSON.stringify(iris)) as StoredModel)
    const { code, out } = await cli('describe', 'model', 'iris')
    expect(code).toBe(0)
    for (const line of [
      /^Name: +iris$/m,
      /^Labels: +team=flowers$/m,
      /^Replicas: +1 of 2 available$/m,
      /^Version: +2 -> 3$/m,
      /^ {2}memory: 100Ki$/m,
      /^ {2}3 +embedded +100\.0 KiB +ModelProgressing +loading$/m,
      /^ +embedded\/0 +LoadFailed +no such file$/m,
      /^ {2}2 +- +\/models\/iris-2$/m,
      /Normal +Loaded +version 1 on embedded\/0$/m,
    ])
      expect(out).toMatch(line)
    expect(out).not.toMatch(/^ {2}3 +- +\/models\/iris$/m) // what is wanted now is nothing to go back to
  })

  it('explains why a model found no place, server by server', async () => {
    admin.put(wine)
    const { out } = await cli('describe', 'model', 'wine')
    expect(out).toMatch(/^ {2}embedded +memory +needs 2\.0 GiB, has 1\.0 GiB$/m)
  })

  it('shows the replicas of a server, and what of its spec is only stored', async () => {
    admin.put(embedded)
    const { out } = await cli('describe', 'server/embedded')
    expect(out).toMatch(
      /^ {2}embedded\/0 +serving +connected +127\.0\.0\.1:9100,9101 +512\.0 MiB of 1\.0 GiB +1 +onnx,embedded +-$/m,
    )
    expect(out).toContain('spec.podSpec: is stored, not acted upon without an orchestrator')
  })
})

describe('delete', () => {
  it('deletes by name, with --force passed on', async () => {
    admin.put(wine)
    expect((await cli('delete', 'model', 'wine', '--force')).out).toBe('model/wine is being deleted\n')
    expect(admin.deleted).toEqual([{ kind: 'Model', name: 'wine', force: true }])
  })

  it('deletes what the manifests name, and goes on when one is gone', async () => {
    admin.put(wine)
    const file = join(folder, 'models.yaml')
    await writeFile(file, `${manifest('rose')}---\n${manifest('wine')}`)
    const result = await cli('delete', '-f', file)
    expect([result.code, result.out]).toEqual([5, 'model/wine is being deleted\n'])
    expect(result.err).toContain('MODEL_NOT_FOUND: model rose does not exist')
  })

  it('says what to do once for all resources that fail alike', async () => {
    const file = join(folder, 'models.yaml')
    await writeFile(file, `${manifest('rose')}---\n${manifest('lily')}`)
    const lines = (await cli('delete', '-f', file)).err.trimEnd().split('\n')
    expect(lines).toEqual([
      'error: MODEL_NOT_FOUND: model rose does not exist',
      'error: MODEL_NOT_FOUND: model lily does not exist',
      'help: Check the name with `millrace get models`.',
    ])
  })

  it('wants either a name or manifests', async () => {
    expect((await cli('delete')).code).toBe(2)
    expect((await cli('delete', 'model', 'wine', '-f', folder)).code).toBe(2)
  })
})

describe('rollback', () => {
  it('says which version was restored and which one that made', async () => {
    admin.put(iris)
    expect((await cli('rollback', 'model', 'iris')).out).toBe(
      'model/iris rolled back from version 3 to 2, as version 4\n',
    )
    expect((await cli('rollback', 'model/iris', '--to-version', '1')).out).toContain('to 1, as version 4')
    expect((await cli('rollback', 'model/iris', '--to-version', 'x')).code).toBe(2)
    expect((await cli('rollback', 'server/embedded')).code).toBe(2)
  })
})

describe('a scheduler that cannot answer', () => {
  it('is one line, one hint and exit code 6', async () => {
    await admin.stop()
    const result = await cli('get', 'models')
    expect([result.code, result.out]).toEqual([6, ''])
    expect(result.err).toBe(
      `error: SCHEDULER_UNAVAILABLE: scheduler ${admin.address} cannot be reached: connect ECONNREFUSED ${admin.address}\n` +
        'help: Start the scheduler, or check its address.\n',
    )
  })

  it('passes on what it says of its store', async () => {
    admin.failWith(new ServingError('STORE_UNAVAILABLE', 'Redis gave no answer within 2 s'))
    const result = await cli('get', 'models')
    expect([result.code, result.err.split('\n')[0]]).toEqual([
      6,
      'error: STORE_UNAVAILABLE: Redis gave no answer within 2 s',
    ])
  })
})
