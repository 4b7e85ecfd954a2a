import { expect, test } from 'vitest'
import type { StoredServer } from '../../../../api/resources/status.ts'
import type { ServerKind } from '../../../../up/servers/kinds.ts'
import { toWanted, undeclared } from '../../../../up/servers/wanted.ts'

const server = (name: string, replicas?: number): StoredServer => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Server',
  metadata: { name },
  spec: replicas === undefined ? {} : { replicas },
})

test('a server of a known kind shall have as many replicas as are applied, none included', () => {
  expect(toWanted(server('mlserver', 3))).toEqual({ kind: 'replicas', server: 'mlserver', count: 3 })
  expect(toWanted(server('embedded', 0))).toEqual({ kind: 'replicas', server: 'embedded', count: 0 })
})

test('more replicas than one machine may have are cut, and that is said', () => {
  expect(toWanted(server('embedded', 50))).toMatchObject({
    count: 10,
    note: 'server embedded: 10 of its 50 replicas are run, as many as one machine may have',
  })
})

test('a server of another name is ignored, and that is said', () => {
  const note = expect.stringContaining('server triton: millrace up runs embedded and mlserver only') as string
  expect(toWanted(server('triton', 1))).toEqual({ kind: 'ignored', note })
})

test('a server that only its agents have made known changes nothing', () => {
  expect(toWanted(server('embedded'))).toEqual({ kind: 'undeclared' })
  expect(toWanted(server('embedded', -1))).toEqual({ kind: 'undeclared' })
})

test('--servers declares only what nobody has applied', () => {
  const asked = new Map<ServerKind, number>([
    ['embedded', 2],
    ['mlserver', 1],
  ])
  expect([...undeclared(asked, [server('embedded', 3), server('mlserver')])]).toEqual([['mlserver', 1]])
})
