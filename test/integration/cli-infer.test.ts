import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeOip, startFakeOip } from '../support/fake-oip.ts'
import { runCli } from '../support/run-cli.ts'

const request = (datatype: string, data: string): string =>
  `{"id":"7","inputs":[{"name":"x","datatype":"${datatype}","shape":[2],"data":${data}}]}`

let typed: FakeOip
let raw: FakeOip
beforeAll(async () => {
  typed = await startFakeOip('typed')
  raw = await startFakeOip('raw')
})
afterAll(() => Promise.all([typed.stop(), raw.stop()]))

const urlOf = (server: FakeOip, protocol: string): string => (protocol === 'rest' ? server.restUrl : server.grpcUrl)
const inferSum = (server: FakeOip, protocol: string, ...argv: string[]) =>
  runCli(['infer', 'sum', '--protocol', protocol, '--ingress', urlOf(server, protocol), ...argv])

describe.each(['rest', 'grpc'])('infer by %s', (protocol) => {
  it.each([
    ['typed', () => typed],
    ['raw', () => raw],
  ])('prints the answer as JSON, its outputs %s', async (_form, server) => {
    const result = await inferSum(server(), protocol, '--data', request('FP32', '[1.5, 2]'))
    expect([result.code, result.err]).toEqual([0, ''])
    expect(JSON.parse(result.out)).toMatchObject({
      model_name: 'sum_1',
      id: '7',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1], data: [3.5] }],
    })
  })

  it('keeps every digit of a 64-bit integer', async () => {
    const { out } = await inferSum(raw, protocol, '--data', request('INT64', '[9007199254740993, 2]'))
    expect(out).toContain('"data":[9007199254740995]')
  })

  it('reads the request from a file or standard input', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-infer-'))
    try {
      await writeFile(join(folder, 'request.json'), request('INT32', '[1, 2]'))
      expect((await inferSum(typed, protocol, '-f', join(folder, 'request.json'))).out).toContain('"data":[3]')
    } finally {
      await rm(folder, { recursive: true })
    }
    const piped = await runCli(
      ['infer', 'sum', '--protocol', protocol, '--ingress', urlOf(typed, protocol), '-d', '-'],
      { input: request('INT32', '[3, 4]') },
    )
    expect(piped.out).toContain('"data":[7]')
  })

  it('sends the model and the given headers, and shows those of the answer', async () => {
    const result = await inferSum(
      typed,
      protocol,
      '--header',
      'X-Request-Id=abc=1',
      '--show-headers',
      '-d',
      request('FP32', '[1, 2]'),
    )
    expect(typed.lastHeaders()).toMatchObject({ 'seldon-model': 'sum', 'x-request-id': 'abc=1' })
    expect(result.err).toContain('x-seldon-route: :sum_1:\n')
  })

  it('sends the same request many times, and counts who answered', async () => {
    const argv = ['--iterations', '20', '-d', request('FP32', '[1, 2]')]
    const result = await inferSum(typed, protocol, ...argv)
    expect([result.code, result.err]).toEqual([0, ''])
    expect(result.out).toMatch(/^20 requests in \d+\.\d\d s: 20 answered, 0 failed\n20 {2}sum_1\n$/)
    expect(JSON.parse((await inferSum(typed, protocol, ...argv, '-o', 'json')).out)).toMatchObject({
      answered: { sum_1: 20 },
      failed: {},
    })
  })

  it('counts failures by their code, and ends with it', async () => {
    const result = await inferSum(typed, protocol, '--iterations', '3', '-d', '{"inputs":[]}')
    expect(result.code).toBe(3)
    expect(result.out).toMatch(/3 requests in .*: 0 answered, 3 failed\n3 {2}failed, [A-Z]+_INVALID: .*tensor "x"/)
  })

  it('prints a table of the outputs', async () => {
    const { out } = await inferSum(raw, protocol, '-o', 'table', '-d', request('FP64', '[0.25, 1]'))
    expect(out).toBe('OUTPUT   DATATYPE   SHAPE   DATA\ny        FP64       [1]     1.25\n')
  })

  it('passes on why the server refused, with exit code 3', async () => {
    const result = await inferSum(typed, protocol, '-d', '{"inputs":[]}')
    expect([result.code, result.out]).toEqual([3, ''])
    expect(result.err).toContain('tensor "x" is missing')
  })

  it('exits 5 for a model that is not there', async () => {
    const ingress = urlOf(typed, protocol)
    const argv = ['infer', 'rose', '--protocol', protocol, '--ingress', ingress, '-d', request('FP32', '[1, 2]')]
    const result = await runCli(argv)
    expect(result.code).toBe(5)
    expect(result.err).toContain('model rose does not exist')
  })

  it('exits 4 when no answer comes in time, and 6 when nobody is there', async () => {
    const silent = createServer()
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const argv = ['infer', 'sum', '--protocol', protocol, '--ingress', `http://127.0.0.1:${String(port)}`]
    const sockets: { destroy(): void }[] = []
    silent.on('connection', (socket) => sockets.push(socket))
    const late = await runCli([...argv, '--timeout', '300ms', '-d', request('FP32', '[1, 2]')])
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => silent.close(resolve))
    expect([late.code, late.err.split(':')[1]]).toEqual([4, ' DEADLINE_EXCEEDED'])
    const nobody = await runCli([...argv, '-d', request('FP32', '[1, 2]')])
    expect([nobody.code, nobody.err.split(':')[1]]).toEqual([6, ' INGRESS_UNAVAILABLE'])
  })
})

describe('infer', () => {
  it.each([
    ['no request', []],
    ['two requests', ['-d', '{}', '-f', 'x']],
    ['a file that is not there', ['-f', '/nonexistent.json']],
    ['a header without a value', ['-d', '{}', '--header', 'x']],
    ['a timeout that is none', ['-d', '{}', '--timeout', 'soon']],
    ['a number of iterations that is none', ['-d', '{}', '--iterations', '0']],
    ['another protocol', ['-d', '{}', '--protocol', 'soap']],
    ['an ingress that is no URL', ['-d', '{}', '--ingress', 'here']],
  ])('exits 2 for %s', async (_name, argv) => {
    const result = await runCli(['infer', 'sum', ...argv])
    expect([result.code, result.out]).toEqual([2, ''])
    expect(result.err).toMatch(/^error: /)
  })
})
