import { describe, expect, it } from 'vitest'
import { formatAge, parseDurationMs } from '../../../cli/duration.ts'
import { EXIT, EXIT_MEANINGS, exitCodeOf, exitCodeOfAll } from '../../../cli/exit-codes.ts'
import { createProgram } from '../../../cli/program.ts'
import { formatReference, parseKind, parseReference, parseWorkers, toTarget } from '../../../cli/reference.ts'
import { createSession, type SessionOptions } from '../../../cli/session.ts'
import { createTerminal, reportError } from '../../../cli/terminal.ts'
import { catalogue, type ErrorCode, issuesError, ServingError } from '../../../kit/errors.ts'
import { captureTerminal } from '../../support/capture-terminal.ts'

describe('references', () => {
  it.each([
    ['model', 'Model'],
    ['Models', 'Model'],
    ['mlm', 'Model'],
    ['server', 'Server'],
    ['SERVERS', 'Server'],
    ['mls', 'Server'],
    ['pipelines', 'Pipeline'],
    ['mlp', 'Pipeline'],
    ['Experiment', 'Experiment'],
    ['mlx', 'Experiment'],
  ])('%s means the kind %s', (text, kind) => {
    expect(parseKind(text)).toBe(kind)
  })

  it('suggests the kind that was probably meant', () => {
    expect(() => parseKind('modle')).toThrow(/did you mean model\?/)
    expect(() => parseKind('deployment')).toThrow(/use model, models, mlm, server, servers, mls/)
  })

  it('takes one word or two, and prints what it takes', () => {
    const iris = { kind: 'Model', name: 'iris' } as const
    expect(parseReference('mlm', 'iris')).toEqual(iris)
    expect(parseReference('models/iris')).toEqual(iris)
    expect(parseReference(formatReference(iris))).toEqual(iris)
  })

  it.each([
    [['model'], /name is missing/],
    [['model/'], /name is missing/],
    [['model/iris', 'wine'], /not both/],
    [['x/iris'], /no kind/],
    [['iris'], /"iris" is no kind/],
  ])('refuses %j', ([first = '', second], message) => {
    expect(() => parseReference(first, second)).toThrow(message)
  })
})

it.each([
  [['workers'], { name: undefined }],
  [['worker', 'engine-0'], { name: 'engine-0' }],
  [['workers/engine-0'], { name: 'engine-0' }],
  [['models'], undefined],
] as const)('%j names workers, or does not', ([first, second], expected) => {
  expect(parseWorkers(first, second)).toEqual(expected)
})

describe('targets of requests', () => {
  it.each([
    ['iris', 'iris'],
    ['join.pipeline', 'join.pipeline'],
    ['model/iris', 'iris'],
    ['pipelines/join', 'join.pipeline'],
    ['mlx/ab', 'ab.experiment'],
  ])('%s is %s', (text, target) => {
    expect(toTarget(text)).toBe(target)
  })

  it('are no servers', () => {
    expect(() => toTarget('server/embedded')).toThrow(/name one of its models/)
  })
})

describe('durations', () => {
  it.each([
    ['500ms', 500],
    ['60s', 60_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1.5s', 1_500],
    ['7', 7_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDurationMs(text, '--timeout')).toBe(ms)
  })

  it.each(['', 's', '-1s', '1 s', '1d', '0', '0.1ms', '600h', 'Infinity'])('refuses %j, naming the option', (text) => {
    expect(() => parseDurationMs(text, '--timeout')).toThrow(/--timeout/)
  })

  it.each([
    [-5, '0s'],
    [0, '0s'],
    [119_999, '119s'],
    [120_000, '2m'],
    [7_200_000, '2h'],
    [172_800_000, '2d'],
  ])('%d ms ago is %s', (ms, text) => {
    expect(formatAge(ms)).toBe(text)
  })
})

describe('exit codes', () => {
  it.each([
    ['CONFIG_INVALID', EXIT.usage],
    ['MANIFEST_INVALID', EXIT.invalid],
    ['TENSOR_INVALID', EXIT.invalid],
    ['MODEL_NOT_FOUND', EXIT.notFound],
    ['SCHEDULER_UNAVAILABLE', EXIT.unavailable],
    ['STORE_UNAVAILABLE', EXIT.unavailable],
    ['DEADLINE_EXCEEDED', EXIT.timeout],
    ['CONDITION_FAILED', EXIT.conditionFailed],
    ['NO_CAPACITY', EXIT.failed],
    ['INVARIANT_BROKEN', EXIT.failed],
  ] as const)('%s exits %d', (code, exit) => {
    expect(exitCodeOf(new ServingError(code, 'x'))).toBe(exit)
  })

  it('never says 0 for an error', () => {
    for (const code of Object.keys(catalogue) as ErrorCode[])
      expect(exitCodeOf(new ServingError(code, 'x'))).toBeGreaterThan(0)
  })

  it('is that of all failures when they agree, else 1', () => {
    const missing = new ServingError('MODEL_NOT_FOUND', 'x')
    const invalid = new ServingError('MANIFEST_INVALID', 'x')
    expect(exitCodeOfAll([missing, missing])).toBe(EXIT.notFound)
    expect(exitCodeOfAll([missing, invalid])).toBe(EXIT.failed)
    expect(exitCodeOfAll([])).toBe(EXIT.ok)
  })

  it('are all explained in --help', () => {
    let help = ''
    const program = createProgram(() => Promise.resolve()).configureOutput({ writeOut: (text) => (help += text) })
    program.outputHelp()
    for (const meaning of Object.values(EXIT_MEANINGS)) expect(help).toContain(meaning)
  })
})

describe('sessions', () => {
  const ingressOf = (options: SessionOptions) => createSession(options, captureTerminal()).ingress.href

  it('adds the port offset to defaults only', () => {
    expect(ingressOf({})).toBe('http://127.0.0.1:9000/')
    expect(ingressOf({ portOffset: '100' })).toBe('http://127.0.0.1:9100/')
    expect(ingressOf({ portOffset: '100', ingress: 'https://mesh.test:1' })).toBe('https://mesh.test:1/')
  })

  it.each([
    [{ portOffset: '1.5' }, '--port-offset 1.5'],
    [{ portOffset: '60000' }, '--port-offset 60000'],
    [{ portOffset: '-9000' }, '--port-offset -9000'],
    [{ scheduler: 'localhost' }, '--scheduler localhost'],
    [{ scheduler: 'localhost:0' }, '--scheduler localhost:0'],
    [{ scheduler: 'http://localhost:9004' }, '--scheduler http'],
    [{ ingress: 'localhost:9000' }, '--ingress localhost:9000'],
    [{ ingress: 'ftp://x' }, '--ingress ftp://x'],
  ])('refuses %j', (options, message) => {
    expect(() => createSession(options, captureTerminal())).toThrow(message)
  })

  it('takes addresses of either family', () => {
    expect(() => createSession({ scheduler: '[::1]:9004' }, captureTerminal())).not.toThrow()
  })
})

describe('the terminal', () => {
  const stream = (isTTY: boolean) => ({ isTTY }) as NodeJS.WriteStream
  const paintOn = (isTTY: boolean, environment: NodeJS.ProcessEnv) =>
    createTerminal({ stdin: process.stdin, stdout: stream(isTTY), stderr: stream(isTTY) }, environment).paint(
      'red',
      'x',
    )

  it.each([
    [true, {}, '\u001B[31mx\u001B[0m'],
    [false, {}, 'x'],
    [true, { NO_COLOR: '1' }, 'x'],
    [true, { NO_COLOR: '' }, '\u001B[31mx\u001B[0m'],
    [true, { TERM: 'dumb' }, 'x'],
  ])('paints where a person reads (TTY %s, %j)', (isTTY, environment, painted) => {
    expect(paintOn(isTTY, environment)).toBe(painted)
  })

  it('gives every problem a line of its own, and one hint', () => {
    const terminal = captureTerminal()
    reportError(
      terminal,
      issuesError('MANIFEST_INVALID', 'a.yaml', [
        { path: 'a', message: 'one' },
        { path: 'b', message: 'two' },
      ]),
    )
    expect(terminal.notes).toEqual([
      'error: MANIFEST_INVALID: a: one',
      'error: MANIFEST_INVALID: b: two',
      `help: ${catalogue.MANIFEST_INVALID.help}`,
    ])
  })

  it('keeps a message of several lines on one', () => {
    const terminal = captureTerminal()
    reportError(terminal, new ServingError('LOAD_FAILED', 'Traceback:\n  line 1'))
    expect(terminal.notes[0]).toBe('error: LOAD_FAILED: Traceback:   line 1')
  })
})
