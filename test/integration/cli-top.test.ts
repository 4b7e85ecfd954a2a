import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { listen } from '../../kit/http.ts'
import { runCli } from '../support/run-cli.ts'

/** Counts that grow with every reading. */
let readings = 0
let server: Server
let url = ''
beforeAll(async () => {
  server = createServer((_request, response) => {
    readings += 1
    response.end(
      [
        `seldon_model_infer_total{model="iris",code="200"} ${String(100 * readings)}`,
        `seldon_model_infer_seconds_total{model="iris",code="200"} ${String(0.2 * readings)}`,
        `seldon_model_infer_total{model="rose",code="500"} ${String(readings)}`,
        'seldon_model_infer_seconds_total{model="rose",code="500"} 1',
        '',
      ].join('\n'),
    )
  })
  url = `http://127.0.0.1:${String(await listen(server, '127.0.0.1', 0))}/metrics`
})
afterAll(() => new Promise((resolve) => server.close(resolve)))

it('piped, one table: the busiest first, or what --sort says', async () => {
  const { code, out } = await runCli(['top', '--metrics', url, '--interval', '200ms'])
  expect(code).toBe(0)
  const [titles, ...rows] = out.trim().split('\n')
  expect(titles).toMatch(/^MODEL +REQ\/S +MEAN MS +FAILED % +TOTAL +LAG$/)
  expect(rows.map((row) => row.split(/ {2,}/)[0])).toEqual(['iris', 'rose'])
  expect(rows[0]).toMatch(/^iris +\d+\.\d +2\.00 +0\.0 +\d+ +-$/)
  const byErrors = await runCli(['top', '--metrics', url, '--interval', '200ms', '--sort', 'errors', '-o', 'name'])
  expect(byErrors.out).toBe('rose\niris\n')
  const one = await runCli(['top', '--metrics', url, '--interval', '200ms', '--models', '1', '-o', 'name'])
  expect(one.out).toBe('iris\n')
})

it.each([
  ['nobody there', ['--metrics', 'http://127.0.0.1:1/metrics'], 6, 'ENVOY_UNAVAILABLE'],
  ['a URL that is none', ['--metrics', 'here'], 2, '--metrics'],
  ['no models to show', ['--models', '0'], 2, '--models'],
  ['another order', ['--sort', 'size'], 2, 'Allowed choices'],
])('refuses %s', async (_name, argv, code, message) => {
  const result = await runCli(['top', ...argv])
  expect([result.code, result.out]).toEqual([code, ''])
  expect(result.err).toContain(message)
})
