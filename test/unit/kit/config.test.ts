import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Type } from 'typebox'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { helpText, parseConfig } from '../../../kit/config.ts'
import { type Issue, ServingError } from '../../../kit/errors.ts'

const definition = {
  name: 'mesh-metrics',
  summary: 'Shows metrics.',
  environmentAliases: { redisUrl: 'REDIS_URL' },
  schema: Type.Object({
    httpPort: Type.Integer({ minimum: 0, maximum: 65_535, default: 9003, description: 'Where metrics are.' }),
    redisUrl: Type.String({ default: 'redis://127.0.0.1:9079', description: 'Where the state is.' }),
    ratio: Type.Number({ default: 0.5 }),
    fresh: Type.Boolean({ default: false }),
    roots: Type.Array(Type.String(), { default: [] }),
    logLevel: Type.Union([Type.Literal('info'), Type.Literal('debug')], { default: 'info' }),
    nameSource: Type.Enum(['header', 'message'], { default: 'header' }),
    repository: Type.String({ description: 'The models.' }),
    namespace: Type.Optional(Type.String()),
  }),
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-config-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})
const fileOf = (text: string): string => {
  const path = join(folder, 'config.yaml')
  writeFileSync(path, text)
  return path
}

function configOf(argv: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const result = parseConfig(definition, ['--repository', '/models', ...argv], environment)
  if (result.kind !== 'run') throw new Error('printed')
  return result.config
}
function issuesOf(argv: readonly string[], environment: NodeJS.ProcessEnv = {}): readonly Issue[] {
  try {
    parseConfig(definition, argv, environment)
  } catch (error) {
    if (error instanceof ServingError && error.code === 'CONFIG_INVALID') return error.issues
    throw error
  }
  throw new Error('was accepted')
}

describe('config', () => {
  it('takes defaults, and leaves optional options out', () => {
    expect(configOf([])).toEqual({
      httpPort: 9003,
      redisUrl: 'redis://127.0.0.1:9079',
      ratio: 0.5,
      fresh: false,
      roots: [],
      logLevel: 'info',
      nameSource: 'header',
      repository: '/models',
    })
  })

  it('prefers a flag to the environment, that to the file, that to the default', () => {
    const path = fileOf('httpPort: 1\nratio: 0.1\nfresh: true\nlogLevel: debug\n')
    const environment = {
      MILLRACE_MESH_METRICS_HTTP_PORT: '2',
      MILLRACE_MESH_METRICS_RATIO: '0.2',
      REDIS_URL: 'redis://x',
    }
    expect(configOf(['--config', path, '--http-port', '3'], environment)).toMatchObject({
      httpPort: 3,
      ratio: 0.2,
      fresh: true,
      logLevel: 'debug',
      redisUrl: 'redis://x',
    })
  })

  it('takes an empty variable for one that is not set', () => {
    expect(configOf([], { REDIS_URL: '', MILLRACE_MESH_METRICS_HTTP_PORT: '' })).toMatchObject({
      httpPort: 9003,
      redisUrl: 'redis://127.0.0.1:9079',
    })
  })

  it('has no second name for an option with a variable of its own', () => {
    expect(configOf([], { MILLRACE_MESH_METRICS_REDIS_URL: 'redis://other' }).redisUrl).toBe('redis://127.0.0.1:9079')
  })

  it.each([
    [['--fresh'], true],
    [['--fresh=true'], true],
    [['--fresh=false'], false],
    [['--fresh', '--no-fresh'], false],
  ])('reads the boolean %j', (argv, fresh) => {
    expect(configOf(argv).fresh).toBe(fresh)
  })

  it('reads lists, values with =, empty values and negative numbers', () => {
    expect(configOf(['--roots', '/a, /b', '--redis-url=redis://h?a=b', '--ratio', '-1', '--namespace='])).toMatchObject(
      {
        roots: ['/a', '/b'],
        redisUrl: 'redis://h?a=b',
        ratio: -1,
        namespace: '',
      },
    )
    expect(configOf(['--roots=']).roots).toEqual([])
  })

  it('lets the last of a repeated flag win', () => {
    expect(configOf(['--http-port', '1', '--http-port=2']).httpPort).toBe(2)
  })

  it('reports every problem at once, each with where it was said', () => {
    const path = fileOf('htpPort: 1\nfresh: maybe\n')
    const argv = [
      '--config',
      path,
      '--bogus=1',
      'word',
      '--http-port',
      '70000',
      '--log-level',
      'loud',
      '--no-ratio',
      '-x',
    ]
    expect(issuesOf(argv, { MILLRACE_MESH_METRICS_RATIO: 'half' })).toEqual([
      { path: '--bogus', message: 'unknown option; see --help' },
      { path: 'word', message: 'is not an option; see --help' },
      { path: '--no-ratio', message: 'unknown option; see --help' },
      { path: '-x', message: 'is not an option; see --help' },
      { path: 'config file htpPort', message: 'unknown option; see --help' },
      { path: '--http-port', message: '70000: must be <= 65535' },
      { path: 'MILLRACE_MESH_METRICS_RATIO', message: '"half": must be number' },
      { path: 'config file fresh', message: '"maybe": must be boolean' },
      { path: '--log-level', message: '"loud": must be one of info, debug' },
      { path: '--repository', message: 'is required (or MILLRACE_MESH_METRICS_REPOSITORY)' },
    ])
  })

  it.each([
    [['--http-port'], '--http-port', 'needs a value'],
    [['--http-port', '--fresh'], '--http-port', 'needs a value'],
    [['--name-source', 'path'], '--name-source', '"path": must be one of header, message'],
    [['--fresh=perhaps'], '--fresh', '"perhaps": must be true or false'],
    [['--http-port', '1.5'], '--http-port', '1.5: must be integer'],
    [['--http-port', ''], '--http-port', '"": must be integer'],
    [['--http-port', 'Infinity'], '--http-port', 'Infinity: must be integer'],
    [['--constructor', 'x'], '--constructor', 'unknown option; see --help'],
    [['--'], '--', 'is not an option; see --help'],
  ])('refuses %j', (argv, path, message) => {
    expect(issuesOf(['--repository=/m', ...argv])).toContainEqual({ path, message })
  })

  it.each([
    ['a file that is not there', () => join(folder, 'missing.yaml'), /missing\.yaml: ENOENT/],
    ['a file that is no mapping', () => fileOf('- 1\n'), /must be a mapping/],
    ['an empty file', () => fileOf(''), /must be a mapping/],
    ['a file that is no YAML', () => fileOf('a: [1\n'), /config\.yaml: /],
  ])('refuses %s, naming it', (_name, path, message) => {
    expect(() => configOf(['--config', path()])).toThrow(message)
  })

  it('gives a configuration that nobody can change', () => {
    const config = configOf(['--roots=/a'])
    expect(() => Object.assign(config, { ratio: 1 })).toThrow(TypeError)
    expect(() => (config.roots as string[]).push('/b')).toThrow(TypeError)
  })

  it('prints the resulting configuration as JSON that --config takes', () => {
    const printed = parseConfig(definition, ['--repository=/m', '--http-port=5', '--print-config'], {})
    if (printed.kind !== 'print') throw new Error('ran')
    const again = parseConfig(definition, ['--config', fileOf(printed.text)], {})
    expect(again).toEqual({ kind: 'run', config: JSON.parse(printed.text) })
  })

  it('explains every option in --help, even beside mistakes', () => {
    const printed = parseConfig(definition, ['--bogus', '-h'], {})
    expect(printed).toEqual({ kind: 'print', text: helpText(definition) })
    const { text } = printed as { text: string }
    expect(text).toContain(
      '--http-port <integer>\n      Where metrics are. (default 9003; MILLRACE_MESH_METRICS_HTTP_PORT)',
    )
    expect(text).toContain(
      '--redis-url <string>\n      Where the state is. (default "redis://127.0.0.1:9079"; REDIS_URL)',
    )
    expect(text).toContain('--repository <string>\n      The models. (required; MILLRACE_MESH_METRICS_REPOSITORY)')
    expect(text).toContain('--namespace <string>\n       (optional; MILLRACE_MESH_METRICS_NAMESPACE)')
    expect(text).toContain('--log-level <info|debug>')
    expect(text).toContain('--name-source <header|message>')
    expect(text).toContain('--fresh\n')
  })
})
