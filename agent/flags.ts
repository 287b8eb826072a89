import { parseArgs } from 'node:util'
import { IdentityError } from '../core/runtime/errors.ts'
import { flagLines } from '../core/runtime/flag-lines.ts'
import type { ConfigDocument } from './config.ts'

/** A flag, the setting that it stands for (a dot leads into a section), and what it takes. */
const FLAGS = {
  'trust-domain': ['trustDomain', 'NAME'],
  'node-name': ['nodeName', 'NAME'],
  broker: ['broker.address', 'HOST:PORT'],
  'token-file': ['tokenFile', 'FILE'],
  'bundle-file': ['bootstrapBundleFile', 'FILE'],
  state: ['stateDirectory', 'DIR'],
  workloads: ['workloads.directory', 'DIR'],
  output: ['workloads.output', 'DIR'],
  reread: ['workloads.reread', '5s'],
  'plugins-registry': ['csi.pluginsRegistry', 'DIR'],
  'kubelet-dir': ['csi.kubeletDirectory', 'DIR'],
  'operations-listen': ['operations.listen', 'HOST:PORT'],
  'log-level': ['log.level', 'LEVEL'],
} as const

/** What the command line says. */
export interface CommandLine {
  readonly command: 'run' | 'config-check' | 'help'
  readonly configFile: string | undefined
  /** Settings by flags; they win over the file's. */
  readonly settings: ConfigDocument
}

export const USAGE = `usage: agent --config FILE
       agent config-check FILE
       agent --trust-domain NAME --broker HOST:PORT --token-file FILE --state DIR --workloads DIR --output DIR

Each flag stands for a setting of the file, and wins over it; docs/configuration.md tells what they mean.

${flagLines([
  ['config FILE', 'the file with the settings'],
  ...Object.entries(FLAGS).map(([flag, [setting, takes]]) => [`${flag} ${takes}`, setting] as const),
  ['allow-disk', 'workloads.allowDisk'],
  ['help, -h', 'this text'],
])}`

/** The flag that stands for a setting, as it is written. */
export function flagOf(setting: string): string | undefined {
  const found = Object.entries(FLAGS).find(([, [name]]) => name === setting)
  return found && `--${found[0]}`
}

/** @throws {@link IdentityError} `config_invalid` for what is no flag of ours. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const strings = Object.fromEntries(Object.keys(FLAGS).map((flag) => [flag, { type: 'string' as const }]))
  const options = {
    ...strings,
    config: { type: 'string' as const },
    'allow-disk': { type: 'boolean' as const },
    help: { type: 'boolean' as const, short: 'h' },
  }
  let parsed
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new IdentityError('config_invalid', `${(error as Error).message}\n${USAGE}`)
  }
  const [command, file, ...more] = parsed.positionals
  if (command !== undefined && command !== 'config-check')
    throw new IdentityError('config_invalid', `${command} is no command; config-check is\n${USAGE}`)
  if (more.length > 0) throw new IdentityError('config_invalid', `config-check takes one file\n${USAGE}`)
  const values: Readonly<Record<string, string | boolean | undefined>> = parsed.values
  const config = values['config']
  return {
    command: values['help'] === true ? 'help' : (command ?? 'run'),
    configFile: typeof config === 'string' ? config : file,
    settings: settingsOf(values),
  }
}

function settingsOf(values: Readonly<Record<string, string | boolean | undefined>>): ConfigDocument {
  const entries: [string, unknown][] = Object.entries(FLAGS).map(([flag, [setting]]) => [setting, values[flag]])
  const settings: Record<string, unknown> = {}
  for (const [setting, value] of [...entries, ['workloads.allowDisk', values['allow-disk']] as const]) {
    if (value === undefined) continue
    const [section = '', key] = setting.split('.')
    settings[section] = key === undefined ? value : { ...(settings[section] as object | undefined), [key]: value }
  }
  return settings
}
