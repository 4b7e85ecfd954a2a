/** The gateway's HTTP/1.1 server on real sockets: what clients do to it, and the same requests as node's own server reads them. */
import { createServer } from 'node:http'
import { connect, createServer as createNetServer, type AddressInfo } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { watchCertificates } from '../../kit/certificates.ts'
import { Connection, type Shared } from '../../kit/http1/connection.ts'
import { BodyRoom } from '../../kit/http1/exchange.ts'
import { silentLogger } from '../../kit/log.ts'
import { makeCertificates } from '../support/certificates.ts'
import { echo, rawClient, startHttp1Rig, statusesOf, textAnswer } from '../support/http1-rig.ts'
import { createWaiters } from '../support/waiters.ts'

type Rig = Awaited<ReturnType<typeof startHttp1Rig>>
const rigs: Rig[] = []
const start = async (...options: Parameters<typeof startHttp1Rig>): Promise<Rig> => {
  const rig = await startHttp1Rig(...options)
  rigs.push(rig)
  return rig
}
afterEach(async () => {
  await Promise.all(rigs.splice(0).map((rig) => rig.stop()))
})

const get = (target: string, lines = ''): string => `GET ${target} HTTP/1.1\r\nhost: h\r\n${lines}\r\n`
const post = (body: string, lines = ''): string =>
  `POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: ${String(body.length)}\r\n${lines}\r\n${body}`

test('one connection serves one request after the other, with a date and a length', async () => {
  const { port } = await start()
  const client = rawClient(port)
  client.send(post('one'))
  const first = await client.until((text) => text.endsWith('POST /p one'))
  expect(first).toMatch(
    /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/plain\r\ncontent-length: 11\r\ndate: \w{3}, [^\r]+ GMT\r\n\r\n/,
  )
  client.send(get('/g'))
  await client.until((text) => text.endsWith('GET /g '))
  client.socket.destroy()
})

test('requests that come together are answered in their order, one at a time', async () => {
  const rig = await start()
  const answers: (() => void)[] = []
  rig.handle = (exchange) => {
    answers.push(() => {
      exchange.answer(textAnswer(200, exchange.head.target))
    })
  }
  const client = rawClient(rig.port)
  client.send(['/1', '/2', '/3'].map((target) => get(target)).join(''))
  for (const count of [1, 2, 3]) {
    await rig.until(`request ${String(count)}`, () => answers.length === count)
    answers[count - 1]?.()
  }
  const text = await client.until((received) => statusesOf(received).length === 3)
  expect(text.match(/\/\d(?=HTTP|$)/g)).toEqual(['/1', '/2', '/3'])
  client.socket.destroy()
})

test('a thousand requests in one piece need no deep stack, and their client may read late', async () => {
  const { port } = await start()
  const client = rawClient(port)
  client.socket.pause()
  client.send(post('x'.repeat(20_000)).repeat(1_000))
  await new Promise((resolve) => setImmediate(resolve))
  client.socket.resume()
  await client.until((text) => text.endsWith('x') && statusesOf(text).length === 1_000)
  client.socket.destroy()
})

test('a body may come slowly, and in chunks', async () => {
  const { port } = await start()
  const client = rawClient(port)
  for (const char of post('slow', 'connection: close\r\n')) {
    client.send(char)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await client.closed).toMatch(/POST \/p slow$/)
  const chunked = rawClient(port)
  chunked.send('POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n')
  chunked.send('2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 1\r\n\r\n')
  expect(await chunked.closed).toMatch(/connection: close\r\n\r\nPOST \/c abc$/)
})

test('whoever waits for 100 Continue is told once its body is wanted', async () => {
  const { port } = await start()
  const client = rawClient(port)
  client.send('POST /c HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n')
  await client.until((text) => text === 'HTTP/1.1 100 Continue\r\n\r\n')
  client.send('ok')
  expect(await client.closed).toMatch(/POST \/c ok$/)
})

test('HEAD is answered without the body, and with its length', async () => {
  const { port } = await start()
  const client = rawClient(port)
  client.send('HEAD /abc HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n')
  expect(await client.closed).toMatch(/content-length: 10\r\n(?:[^\r]+\r\n)*\r\n$/)
})

test('HTTP/1.0 is closed after its answer, unless it asks to be kept', async () => {
  const { port } = await start()
  const client = rawClient(port)
  client.send('GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n')
  await client.until((text) => text.endsWith('connection: keep-alive\r\n\r\nGET /a '))
  client.send('GET /b HTTP/1.0\r\n\r\n')
  expect(await client.closed).toMatch(/connection: close\r\n\r\nGET \/b $/)
})

test('a body beyond the limit is refused as soon as it is known, read away, and the connection closed', async () => {
  const { port } = await start()
  const client = rawClient(port)
  client.send('POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 100001\r\n\r\n')
  await client.until((text) => text.endsWith('REQUEST_TOO_LARGE'))
  client.send('x'.repeat(100_001))
  expect(statusesOf(await client.closed)).toEqual([413])
  const chunked = rawClient(port)
  chunked.send('POST /p HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n')
  for (let index = 0; index < 3; index += 1) chunked.send(`c000\r\n${'x'.repeat(0xc000)}\r\n`)
  const text = await chunked.closed // who goes on sending is not waited for for ever
  expect([statusesOf(text), text.includes('connection: close')]).toEqual([[413], true])
})

test('all bodies together have a limit too, and room is there again after an answer or a client that left', async () => {
  const rig = await start({ limits: { maxRequestBytes: 1_000, maxBufferedBytes: 1_500 } })
  const body = 'x'.repeat(1_000)
  const answers: (() => void)[] = []
  rig.handle = (exchange) => {
    exchange.readBody((read) => {
      if (read instanceof Error) exchange.answer(textAnswer(read.httpStatus, read.code))
      else
        answers.push(() => {
          exchange.answer(textAnswer(200, 'ok'))
        })
    })
  }
  const [first, second] = [rawClient(rig.port), rawClient(rig.port)]
  first.send(post(body))
  await rig.until('the first', () => answers.length === 1)
  second.send(post(body))
  await second.until((text) => text.endsWith('SERVER_OVERLOADED'))
  answers[0]?.()
  await first.until((text) => text.endsWith('ok'))
  second.send(post(body)) // its body had come whole: it may ask again
  await rig.until('the second', () => answers.length === 2)
  const gone = rig.exchanges.at(-1)
  if (gone !== undefined) gone.onGone = rig.look
  second.socket.destroy()
  await rig.until('its end', () => gone?.isGone === true)
  first.send(post(body))
  await rig.until('the third', () => answers.length === 3)
  first.socket.destroy()
})

test('an encoded body is refused', async () => {
  const { port } = await start()
  const client = rawClient(port)
  client.send(post('x', 'content-encoding: gzip\r\nconnection: close\r\n'))
  expect(await client.closed).toMatch(/REQUEST_INVALID$/)
})

test('a request knows when its client goes away, while it runs and while its body comes', async () => {
  const rig = await start()
  const told: string[] = []
  const tell = (what: string): void => {
    told.push(what)
    rig.look()
  }
  rig.handle = (exchange) => {
    exchange.readBody((body) => {
      if (body instanceof Error) tell(body.code)
      else
        exchange.onGone = () => {
          tell('gone')
        }
    })
  }
  const [running, sending] = [rawClient(rig.port), rawClient(rig.port)]
  running.send(post('x'))
  sending.send('POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nx')
  await rig.until('both', () => rig.exchanges.length === 2)
  running.socket.resetAndDestroy()
  sending.socket.end() // half-closed: as good as gone
  await rig.until('both ends', () => told.length === 2)
  expect(told.toSorted()).toEqual(['CANCELLED', 'gone'])
  for (const exchange of rig.exchanges) exchange.answer(textAnswer(200, 'to nobody'))
})

test('what is no HTTP gets 400, too large a head 431, and the connection is closed', async () => {
  const { port } = await start()
  const cases = [
    ['\x16\x03\x01\x00\xa5', 400],
    ['hello world\r\n\r\n', 400],
    ['GET / HTTP/1.1\nhost: h\n\n', 400],
    [get('/', `x-a: ${'a'.repeat(70_000)}\r\n`), 431],
  ] as const
  for (const [text, status] of cases) {
    const client = rawClient(port)
    client.send(text)
    expect(statusesOf(await client.closed)).toEqual([status])
  }
})

test('a body that turns out to be none ends the request', async () => {
  const rig = await start()
  const client = rawClient(rig.port)
  client.send('POST /p HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n')
  await rig.until('the request', () => rig.exchanges.length === 1)
  client.send('x\r\n')
  expect(statusesOf(await client.closed)).toEqual([400])
  expect(rig.exchanges.map(({ isGone }) => isGone)).toEqual([true])
})

test('while the server drains, answers close their connections', async () => {
  const rig = await start()
  const client = rawClient(rig.port)
  client.send(get('/a'))
  await client.until((text) => text.endsWith('GET /a '))
  rig.isAccepting = false
  client.send(get('/b') + get('/c'))
  const text = await client.closed
  expect([statusesOf(text), text.endsWith('connection: close\r\n\r\nGET /b ')]).toEqual([[200, 200], true])
})

test('stopping closes all connections, idle or not', async () => {
  const rig = await startHttp1Rig()
  rig.handle = () => undefined
  const [idle, busy] = [rawClient(rig.port), rawClient(rig.port)]
  busy.send(get('/a'))
  await rig.until('the request', () => rig.exchanges.length === 1)
  await rig.stop()
  await Promise.all([idle.closed, busy.closed])
  expect(rig.exchanges[0]?.isGone).toBe(true)
})

test('large answers pass to a client that reads late', async () => {
  const rig = await start()
  const chunk = Buffer.alloc(1_000_000, 'y')
  rig.handle = (exchange) => {
    exchange.answer({ status: 200, lines: '', chunks: [chunk, chunk, chunk], byteLength: 3 * chunk.byteLength })
  }
  const client = rawClient(rig.port)
  client.socket.pause()
  client.send(get('/a') + get('/b', 'connection: close\r\n'))
  await rig.until('the first', () => rig.exchanges.length === 1)
  client.socket.resume()
  const text = await client.closed
  expect([statusesOf(text), text.match(/y{3000000}/g)?.length]).toEqual([[200, 200], 2])
})

test('over TLS, with client certificates where they are asked for', async () => {
  const certificates = makeCertificates()
  const { server, client, ca } = certificates
  const files = {
    cert: { flag: '--tls-cert', file: server.cert },
    key: { flag: '--tls-key', file: server.key },
    ca: { flag: '--tls-client-ca', file: ca },
  }
  const { port } = await start({ tls: watchCertificates(files, silentLogger) })
  const own = { cert: readFileSync(client.cert), key: readFileSync(client.key), ca: readFileSync(ca) }
  const known = rawClient(port, connectTls({ port, host: '127.0.0.1', ...own }))
  known.send(post('one') + post('two', 'connection: close\r\n'))
  expect(statusesOf(await known.closed)).toEqual([200, 200])
  const unknown = rawClient(port, connectTls({ port, host: '127.0.0.1', ca: own.ca }))
  unknown.send(get('/a'))
  expect(await unknown.closed).toBe('')
  const plain = rawClient(port)
  plain.send(get('/a'))
  expect(statusesOf(await plain.closed)).toEqual([])
  certificates.remove()
})

test.each([
  ['nothing', '', 75, []],
  ['a part of a head', 'GET / HTTP/1.1\r\n', 60, [408]],
  ['a part of a body', 'POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nx', 300, [408]],
  ['a request that was answered', get('/'), 75, [200]],
])('who sends %s and no more is left after its time', async (_, sent, seconds, statuses) => {
  const shared: Shared = {
    room: new BodyRoom({ maxRequestBytes: 1_000, maxBufferedBytes: 1_000 }),
    isAccepting: () => true,
    handle: echo,
    now: 0,
  }
  const connections: Connection[] = []
  const server = createNetServer((socket) => {
    connections.push(new Connection(shared, socket, () => undefined))
    socket.on('data', (chunk: Buffer) => {
      came += chunk.byteLength
      waiters.look()
    })
    waiters.look()
  })
  let came = 0
  const waiters = createWaiters()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = rawClient((server.address() as AddressInfo).port)
  client.send(sent)
  await waiters.until('what was sent', () => connections.length === 1 && came === sent.length)
  if (statuses[0] === 200) await client.until((text) => statusesOf(text).length === 1)
  shared.now = seconds
  connections[0]?.checkDeadline()
  expect(client.socket.destroyed).toBe(false)
  shared.now = seconds + 1
  connections[0]?.checkDeadline()
  expect(statusesOf(await client.closed)).toEqual(statuses)
  await new Promise((resolve) => server.close(resolve))
})

test('garbage of all kinds is survived', async () => {
  const rig = await start()
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 4 }),
      fc.boolean(),
      async (pieces, polite) => {
        const client = rawClient(rig.port)
        client.send(polite ? post('abc') : '')
        for (const piece of pieces) client.socket.write(piece)
        client.socket.end()
        await client.closed
      },
    ),
    { numRuns: 60 },
  )
  const client = rawClient(rig.port)
  client.send(get('/', 'connection: close\r\n'))
  expect(statusesOf(await client.closed)).toEqual([200])
})

test("node's own server reads valid requests the same", async () => {
  const rig = await start({ limits: { maxRequestBytes: 100_000, maxBufferedBytes: 100_000_000 } })
  const seen: string[] = []
  rig.handle = (exchange) => {
    const { method, target, fields } = exchange.head
    exchange.readBody((body) => {
      seen.push(JSON.stringify([method, target, fields, body instanceof Error ? body.code : body.toString('latin1')]))
      exchange.answer(textAnswer(200, ''))
    })
  }
  const nodes: string[] = []
  const node = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method, url, rawHeaders } = request
      const fields = rawHeaders.flatMap((name, index) =>
        index % 2 === 0 ? [[name.toLowerCase(), rawHeaders[index + 1]]] : [],
      )
      nodes.push(JSON.stringify([method, url, fields, Buffer.concat(chunks).toString('latin1')]))
      response.end()
    })
  })
  await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve))
  const ports = [rig.port, (node.address() as AddressInfo).port]
  const word = fc.stringMatching(/^[!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?$/)
  const field = fc
    .tuple(fc.stringMatching(/^[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}$/), word)
    .map(([name, text]) => `X-${name}:${text} \r\n`)
  const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
  const request = fc
    .tuple(
      fc.constantFrom('GET', 'POST', 'PUT'),
      fc.stringMatching(/^\/[a-zA-Z0-9/?&=%._-]{0,20}$/),
      fc.array(field, { maxLength: 5 }),
      body,
      fc.boolean(),
    )
    .map(([method, target, fields, text, isChunked]) => {
      const [line, sent] = isChunked
        ? [
            'Transfer-Encoding: chunked',
            `${text === '' ? '' : `${text.length.toString(16)}\r\n${text}\r\n`}0\r\nx-t: 1\r\n\r\n`,
          ]
        : [`Content-Length: ${String(text.length)}`, text]
      return `${method} ${target} HTTP/1.1\r\nHost: h\r\n${fields.join('')}${line}\r\n\r\n${sent}`
    })
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), async (texts) => {
      await Promise.all(
        ports.map(async (port) => {
          const client = rawClient(port, connect(port, '127.0.0.1'))
          client.send(texts.join(''))
          await client.until((received) => statusesOf(received).length === texts.length)
          client.socket.destroy()
        }),
      )
      expect(seen.splice(0)).toEqual(nodes.splice(0))
    }),
    { numRuns: 60 },
  )
  await new Promise((resolve) => {
    node.close(resolve)
    node.closeAllConnections()
  })
})
