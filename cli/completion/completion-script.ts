import type { Command } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** What may follow a command. */
interface Place {
  /** For example `identity list`; empty at the beginning. */
  readonly path: string
  readonly words: readonly { readonly word: string; readonly about: string }[]
}

/** A script for `shell`, made from the commands themselves. */
export function completionScript(program: Command, shell: Shell): string {
  if (shell === 'fish') return fishScript(program)
  const bash = bashScript(program)
  // zsh takes the functions of bash (zshcompsys(1), bashcompinit).
  return shell === 'bash'
    ? bash
    : `#compdef ${program.name()}\nautoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bash}`
}

function bashScript(program: Command): string {
  const name = program.name()
  const places = placesOf(program)
  const cases = places
    .filter(({ path }) => path !== '')
    // The longest first: `identity list` begins as `identity` does.
    .toSorted((one, other) => other.path.length - one.path.length)
    .map(({ path, words }) => `    '${path} '*) words='${words.map(({ word }) => word).join(' ')}' ;;`)
  const start = places.find(({ path }) => path === '')
  return `_${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} path= word words skip=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [ -n "$skip" ]; then skip=; continue; fi
    case $word in
      ${takingValues(program).join('|')}) skip=1 ;;
      -*) ;;
      *) path+="$word " ;;
    esac
  done
  [ -n "$skip" ] && return
  case $path in
${cases.join('\n')}
    *) words='${(start?.words ?? []).map(({ word }) => word).join(' ')}' ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _${name} ${name}
`
}

function fishScript(program: Command): string {
  const name = program.name()
  const lines = placesOf(program).flatMap(({ path, words }) => {
    const seen = path.split(' ').filter(Boolean)
    const condition =
      seen.length === 0
        ? '__fish_use_subcommand'
        : seen.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ')
    return words
      .filter(({ word }) => !seen.includes(word))
      .map(({ word, about }) => {
        const what = word.startsWith('--')
          ? `-l ${word.slice(2)}`
          : word.startsWith('-')
            ? `-s ${word.slice(1)}`
            : `-a ${word}`
        return `complete -c ${name} -n '${condition}' ${what} -d '${about.replaceAll("'", '’')}'`
      })
  })
  return `complete -c ${name} -f\n${lines.join('\n')}\n`
}

function placesOf(program: Command, path: readonly string[] = []): Place[] {
  const own = { path: path.join(' '), words: [...subcommands(program), ...choices(program), ...flags(program)] }
  return [own, ...program.commands.flatMap((command) => placesOf(command, [...path, command.name()]))]
}

const subcommands = ({ commands }: Command) =>
  commands.map((command) => ({ word: command.name(), about: command.summary() }))

const choices = ({ registeredArguments }: Command) =>
  registeredArguments.flatMap(({ argChoices, description }) =>
    (argChoices ?? []).map((word) => ({ word, about: description })),
  )

/** Those of the command and of all above it. */
function flags(command: Command): { word: string; about: string }[] {
  const own = command.options.flatMap(({ long, description }) => (long ? [{ word: long, about: description }] : []))
  return command.parent ? [...own, ...flags(command.parent)] : own
}

function takingValues(command: Command): string[] {
  const own = command.options
    .flatMap(({ required, long, short }) => (required ? [long, short] : []))
    .filter((flag) => flag !== undefined)
  return [...new Set([...own, ...command.commands.flatMap(takingValues)])]
}
