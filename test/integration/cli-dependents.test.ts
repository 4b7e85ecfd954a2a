/** Pipelines and experiments at the command line. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseResource } from '../../api/resources/resource.ts'
import { type FakeAdmin, startFakeAdmin } from '../support/fake-admin.ts'
import { type CliResult, runCli } from '../support/run-cli.ts'
import { joinedPipeline as joined, splitExperiment as split } from '../support/stored-dependents.ts'

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

describe('get and status', () => {
  it('prints what can be applied again', async () => {
    admin.put(joined)
    expect((await cli('status', 'mlp/joined')).out).toBe(
      'pipeline/joined PipelineCreating, 2/3 models available: Version 2 is loading on gateway-0\n',
    )
    expect((await cli('get', 'pipelines')).out).toMatch(/^joined +PipelineCreating +2\/3 +direct +1 -> 2 /m)
    const { out } = await cli('get', 'pipeline/joined', '-o', 'json')
    expect(JSON.parse(out)).toEqual(joined)
    const again = await runCli(['apply', '-f', '-', '--scheduler', admin.address], { input: out })
    expect([again.code, again.out]).toEqual([0, 'pipeline/joined unchanged\n'])
  })

  it('waits until a pipeline answers', async () => {
    admin.put(joined)
    const waiting = cli('status', 'pipeline/joined', '--wait', 'available', '--timeout', '20s')
    await admin.nextWatch()
    admin.put({ ...joined, status: { state: 'PipelineReady', version: 2, servingVersion: 2, modelsReady: true } })
    expect(await waiting).toMatchObject({ code: 0, out: expect.stringContaining('PipelineReady') as string })
  })
})

describe('rollback and delete', () => {
  it('go back to an earlier version of a pipeline; an experiment has none', async () => {
    admin.put(joined)
    admin.put(split)
    expect((await cli('rollback', 'pipeline', 'joined')).out).toBe(
      'pipeline/joined rolled back from version 3 to 2, as version 4\n',
    )
    expect(await cli('rollback', 'experiment', 'ab')).toMatchObject({
      code: 2,
      err: expect.stringContaining('only models and pipelines have versions') as string,
    })
  })

  it('delete an experiment before what it sends to, in whatever order the files name them', async () => {
    admin.put(joined)
    admin.put(split)
    const file = join(folder, 'all.json')
    const spec = { storageUri: '/m' }
    const model = parseResource({ ...joined, kind: 'Model', metadata: { name: 'iris' }, spec, status: {} })
    if (model.kind === 'Model') admin.put(model)
    await writeFile(file, JSON.stringify({ kind: 'List', items: [model, joined, split] }))
    expect((await cli('delete', '-f', file)).code).toBe(0)
    expect(admin.deleted.map(({ kind }) => kind)).toEqual(['Experiment', 'Pipeline', 'Model'])
  })

  it('say when there is no such pipeline', async () => {
    expect(await cli('delete', 'pipeline/none')).toMatchObject({
      code: 5,
      err: expect.stringContaining('PIPELINE_NOT_FOUND') as string,
    })
  })
})
