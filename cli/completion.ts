/** Shell completion scripts, made from the command tree: command names, kinds, flags and the values of closed choices. */
import type { Command, Option } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** A command and the flags that may follow it. */
interface Completable {
  readonly name: string
  readonly summary: string
  readonly options: readonly Option[]
}

/** What follows these commands. */
const KIND_WORDS: Readonly<Record<string, string>> = {
  get: 'models servers pipelines experiments workers',
  describe: 'model server pipeline experiment',
  delete: 'model server pipeline experiment',
  rollback: 'model pipeline',
}

/** `processes`: commands outside the tree, by name, with their meaning. */
export function completionScript(shell: Shell, program: Command, processes: Readonly<Record<string, string>>): string {
  const commands: readonly Completable[] = [
    ...Object.entries(processes).map(([name, summary]) => ({ name, summary, options: [] })),
    ...program.commands.map((command) => ({
      name: command.name(),
      summary: command.summary(),
      options: [...command.options, ...program.options],
    })),
  ]
  switch (shell) {
    case 'bash':
      return bashScript(commands)
    case 'zsh':
      return `autoload -U +X bashcompinit && bashcompinit\n${bashScript(commands)}`
    case 'fish':
      return fishScript(commands)
  }
}

const flagsOf = (options: readonly Option[]): readonly string[] =>
  options.flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined))

function bashScript(commands: readonly Completable[]): string {
  const options = commands.flatMap((command) => command.options)
  const choices = new Map<string, string>()
  for (const option of options)
    if (option.argChoices !== undefined) choices.set(flagsOf([option]).join('|'), option.argChoices.join(' '))
  return [
    '_millrace() {',
    '  local word="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words=""',
    '  case "$previous" in',
    ...[...choices].map(
      ([flags, values]) => `    ${flags}) COMPREPLY=($(compgen -W "${values}" -- "$word")); return ;;`,
    ),
    '    -f|--file) COMPREPLY=($(compgen -f -- "$word")); return ;;',
    '  esac',
    '  case "${COMP_WORDS[1]}" in',
    ...commands
      .filter((command) => command.options.length > 0)
      .map((command) => `    ${command.name}) words="${flagsOf(command.options).join(' ')}" ;;`),
    '  esac',
    '  if [ "$COMP_CWORD" -eq 2 ]; then case "${COMP_WORDS[1]}" in',
    ...Object.entries(KIND_WORDS).map(([name, words]) => `    ${name}) words="${words} $words" ;;`),
    '  esac; fi',
    `  [ "$COMP_CWORD" -eq 1 ] && words="${commands.map((command) => command.name).join(' ')}"`,
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    '}',
    'complete -F _millrace millrace',
  ].join('\n')
}

function fishScript(commands: readonly Completable[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "\\'")}'`
  const optionLine = (command: string, option: Option): string => {
    const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`
    const long = option.long === undefined ? '' : ` -l ${option.long.slice(2)}`
    const values = option.argChoices === undefined ? '' : ` -x -a ${quote(option.argChoices.join(' '))}`
    return `complete -c millrace -n ${quote(`__fish_seen_subcommand_from ${command}`)}${short}${long}${values} -d ${quote(option.description)}`
  }
  return commands
    .flatMap(({ name, summary, options }) => [
      `complete -c millrace -n __fish_use_subcommand -f -a ${name} -d ${quote(summary)}`,
      ...(KIND_WORDS[name] === undefined
        ? []
        : [`complete -c millrace -n ${quote(`__fish_seen_subcommand_from ${name}`)} -f -a ${quote(KIND_WORDS[name])}`]),
      ...options.map((option) => optionLine(name, option)),
    ])
    .join('\n')
}
