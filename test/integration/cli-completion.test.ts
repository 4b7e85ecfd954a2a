import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { runCli } from '../support/run-cli.ts'

/** What bash would offer for the last of these words. */
function offersOf(script: string, ...words: string[]): readonly string[] {
  const ask = [
    script,
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
    `COMP_CWORD=${String(words.length - 1)}`,
    '_millrace',
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ]
  const result = spawnSync('bash', ['-c', ask.join('\n')], { encoding: 'utf8', timeout: 60_000 })
  expect(result.stderr).toBe('')
  return result.stdout.trim().split('\n')
}

it('bash completes commands, flags and the values of closed choices', async () => {
  const { code, out } = await runCli(['completion', 'bash'])
  expect(code).toBe(0)
  expect(offersOf(out, 'millrace', 'de')).toEqual(['describe', 'delete'])
  expect(offersOf(out, 'millrace', 'mo')).toEqual(['model-server', 'model-gateway'])
  expect(offersOf(out, 'millrace', 'apply', '--dr')).toEqual(['--dry-run'])
  expect(offersOf(out, 'millrace', 'apply', '--sch')).toEqual(['--scheduler'])
  expect(offersOf(out, 'millrace', 'get', 'models', '-o', '')).toEqual(['table', 'json', 'yaml', 'name'])
  expect(offersOf(out, 'millrace', 'get', '')).toContain('pipelines')
  expect(offersOf(out, 'millrace', 'rollback', 'p')).toEqual(['pipeline'])
  expect(offersOf(out, 'millrace', 'describe', 'experiment', 'e')).toEqual([''])
  expect(offersOf(out, 'millrace', 'infer', 'iris', '--protocol', 'g')).toEqual(['grpc'])
})

it('zsh reads the same script, fish one of its own, and no other shell has one', async () => {
  expect((await runCli(['completion', 'zsh'])).out).toMatch(/^autoload -U \+X bashcompinit/)
  const fish = await runCli(['completion', 'fish'])
  expect(fish.out).toContain("complete -c millrace -n '__fish_seen_subcommand_from apply' -l dry-run")
  expect(fish.out).toContain("complete -c millrace -n '__fish_seen_subcommand_from rollback' -f -a 'model pipeline'")
  expect((await runCli(['completion', 'csh'])).code).toBe(2)
})
