import type { Command } from 'commander'
import type { Check } from '../cli/checks/check.ts'
import { INSTALLED_CHECKS } from '../cli/checks/installed-checks.ts'
import { PRE_CHECKS } from '../cli/checks/pre-checks.ts'
import { EXIT } from '../cli/exit/exit-code.ts'
import { buildProgram } from '../cli/program.ts'

/** docs/cli.md: every command, flag, exit code and check. */
export function cliDocument(): string {
  const unused = () => {
    throw new TypeError('nothing is run for a document')
  }
  const program = buildProgram({
    out: { write: unused, hasColour: false },
    clock: { now: unused, monotonicMs: unused, sleep: unused },
    session: unused,
    end: unused,
  })
  return `# countersign

Made from \`cli/\` by \`npm run generate\`.

${program.description()} In a cluster that Countersign is installed in it finds everything by itself: the broker by port-forward to its pod, whom to take for the broker by the ConfigMap of the trust bundle, and a token of ten minutes for the admin API by TokenRequest for the ServiceAccount \`countersign-system/countersign-cli\`. What you prove yourself to the API server with is never sent to the broker, and the token only once the broker has proven its SPIFFE ID.

From a checkout: \`npm run --silent countersign -- check\`. It is also a kubectl plugin: with \`kubectl-countersign\` on the PATH, \`kubectl countersign check\`. A script of two lines in a folder of the PATH makes it one, run once in the checkout:

\`\`\`sh
printf '#!/bin/sh\\nexec "%s" --title=kubectl-countersign "%s" "$@"\\n' "$PWD/node_modules/.bin/node" "$PWD/cli/main.ts" > ~/.local/bin/kubectl-countersign
chmod +x ~/.local/bin/kubectl-countersign
\`\`\`

A cluster administrator needs nothing more. For anybody else the chart has roles that are bound to nobody (\`admin.enabled\`): bind the ClusterRole \`countersign-cli-user\` in the whole cluster, and the Roles of that name in the namespaces \`countersign-system\` and \`countersign-agent\`. \`svid show --pod\` needs \`create pods/exec\` in the namespace of the pod, besides. What the broker itself tells to whom, down to one namespace, is in [admin-api.md](admin-api.md#what-they-may). \`svid show\` of files and sockets, and \`bundle show\` of a file, need no cluster.

## Flags of every command

${optionsOf(program)}

## Exit codes

| code | means |
| --- | --- |
${Object.values(EXIT)
  .map(({ code, meaning }) => `| ${code} | ${meaning} |`)
  .join('\n')}

\`check\` ends with 1 if a check fails, warnings or not, and with 3 if the API server does not answer. \`explain pod\` ends with 0 only if the pod has an identity and nothing stands in the way of the next one, and with 3 or 4 if only the broker could say and cannot be asked; \`svid show\` only if the SVID is valid now, and neither bundle nor key speak against it.

What goes wrong is told on stderr: the code of [errors.md](errors.md), what was wrong, and behind → what to do. With \`--json\` it is \`{"error": {"code", "message", "remedy"}}\` there, without \`remedy\` where the message says what to do. Stdout is empty then, but for what was found before: \`version\` prints that of the client.

## Commands

${leavesOf(program)
  .map((path) => commandSection(path))
  .join('\n\n')}

## Before an installation

What \`countersign check --pre\` looks at.

${PRE_CHECKS.map(checkSection).join('\n\n')}

## After an installation

What \`countersign check\` looks at, besides the version of API server and kubelets.

${INSTALLED_CHECKS.filter(({ id }) => !PRE_CHECKS.some((check) => check.id === id))
  .map(checkSection)
  .join('\n\n')}
`
}

/** Commands that do something, each with those above it. */
function leavesOf(command: Command, above: readonly Command[] = []): (readonly Command[])[] {
  const path = [...above, command]
  return command.commands.length === 0 ? [path] : command.commands.flatMap((child) => leavesOf(child, path))
}

function commandSection(path: readonly Command[]): string {
  const command = path.at(-1)
  if (!command) return ''
  const name = path.map((each) => each.name()).join(' ')
  const args = command.registeredArguments.map((argument) =>
    argument.required ? ` <${argument.name()}>` : ` [${argument.name()}]`,
  )
  const described = command.registeredArguments.map(
    (argument) => `| \`${argument.name()}\` | ${argument.description}${choicesOf(argument.argChoices)} |`,
  )
  const options = command.options.map(optionRow)
  const rows = [...described, ...options]
  return `### ${name}

\`${name}${args.join('')}\`

${command.description()}${rows.length > 0 ? `\n\n| | |\n| --- | --- |\n${rows.join('\n')}` : ''}`
}

function optionsOf({ options }: Command): string {
  return `| flag | is |\n| --- | --- |\n${options.map(optionRow).join('\n')}`
}

function optionRow({ flags, description, defaultValue, argChoices }: Command['options'][number]): string {
  const standard = defaultValue === undefined ? '' : `; default: ${String(defaultValue)}`
  return `| \`${flags}\` | ${description}${choicesOf(argChoices)}${standard} |`
}

function choicesOf(choices: readonly string[] | undefined): string {
  return choices ? `: ${choices.map((choice) => `\`${choice}\``).join(', ')}` : ''
}

/** The heading is the anchor that `check` prints. */
function checkSection<F>({ id, title, about }: Check<F>): string {
  return `### ${id}

**${title.charAt(0).toUpperCase()}${title.slice(1)}.** ${about}`
}
