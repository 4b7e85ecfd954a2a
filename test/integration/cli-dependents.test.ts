/** Pipelines and experiments at the command line. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseResource } from '../../api/resources/resource.ts'
import type { StoredExperiment, StoredPipeline } from '../../api/resources/status.ts'
import { type FakeAdmin, startFakeAdmin } from '../support/fake-admin.ts'
import { experiment, pipeline } from '../support/manifests.ts'
import { type CliResult, runCli } from '../support/run-cli.ts'

const HOUR_MS = 3_600_000
const at = (hoursAgo: number): string => new Date(Date.now() - hoursAgo * HOUR_MS).toISOString()

const joined: StoredPipeline = {
  ...(parseResource(pipeline({ steps: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] }, 'joined')) as StoredPipeline),
  status: {
    state: 'PipelineCreating',
    reason: 'Version 2 is loading on gateway-0',
    version: 2,
    servingVersion: 1,
    modelsReady: false,
    missingModels: ['c'],
    versions: [
      { version: 1, uid: 'first', steps: ['a'], at: at(3) },
      { version: 2, uid: 'second', steps: ['a', 'b', 'c'], at: at(1) },
    ],
  },
}
const split: StoredExperiment = {
  ...(parseResource(
    experiment({
      default: 'iris',
      candidates: [
        { name: 'iris', weight: 3 },
        { name: 'iris2', weight: 1 },
      ],
      mirror: { name: 'iris3', percent: 0.5 },
    }),
  ) as StoredExperiment),
  status: {
    state: 'ExperimentInactive',
    reason: 'not ready: iris2 (ModelProgressing)',
    createdAt: at(2),
    candidates: [
      { name: 'iris', ready: true },
      { name: 'iris2', ready: false, reason: 'ModelProgressing' },
    ],
    mirror: { name: 'iris3', ready: true },
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

describe('get', () => {
  it('lists pipelines with their models and versions', async () => {
    admin.put(joined)
    expect((await cli('get', 'pipelines')).out).toBe(
      [
        'NAME     STATE              MODELS   VERSION   AGE   REASON',
        'joined   PipelineCreating   2/3      1 -> 2    3h    Version 2 is loading on gateway-0',
        '',
      ].join('\n'),
    )
  })

  it('lists experiments with what they send to', async () => {
    admin.put(split)
    expect((await cli('get', 'mlx')).out).toBe(
      [
        'NAME   STATE                DEFAULT   CANDIDATES       MIRROR       AGE   REASON',
        'ab     ExperimentInactive   iris      iris:3,iris2:1   iris3:0.5%   2h    not ready: iris2 (ModelProgressing)',
        '',
      ].join('\n'),
    )
    expect(await cli('get', 'pipelines')).toEqual({ code: 0, out: '', err: 'no pipelines\n' })
  })

  it('prints what can be applied again', async () => {
    admin.put(joined)
    const { out } = await cli('get', 'pipeline/joined', '-o', 'json')
    expect(JSON.parse(out)).toEqual(joined)
    const again = await runCli(['apply', '-f', '-', '--scheduler', admin.address], { input: out })
    expect([again.code, again.out]).toEqual([0, 'pipeline/joined unchanged\n'])
  })
})

describe('describe and status', () => {
  it('show the versions of a pipeline, and what it waits for', async () => {
    admin.put(joined)
    const { out } = await cli('describe', 'pipeline', 'joined')
    for (const line of [
      /^Models: +2\/3 available$/m,
      /^Version: +1 -> 2$/m,
      /^ {2}1 +yes +\S+ +first +a$/m,
      /^ {2}2 +- +\S+ +second +a,b,c$/m,
    ])
      expect(out).toMatch(line)
    expect(out).not.toContain('Replicas')
    expect((await cli('status', 'pipeline/joined')).out).toBe(
      'pipeline/joined PipelineCreating, 2/3 models available: Version 2 is loading on gateway-0\n',
    )
  })

  it('show the share and the readiness of everybody in an experiment', async () => {
    admin.put(split)
    const { out } = await cli('describe', 'experiment', 'ab')
    for (const line of [
      /^ {2}iris +default +75 % +yes +-$/m,
      /^ {2}iris2 +candidate +25 % +no +ModelProgressing$/m,
      /^ {2}iris3 +mirror +0.5 % +yes +-$/m,
    ])
      expect(out).toMatch(line)
  })

  it('wait until a pipeline answers', async () => {
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
