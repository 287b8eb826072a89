import { parseArgs } from 'node:util'
import { IdentityError } from '../core/runtime/errors.ts'
import type { ConfigDocument } from './config.ts'

/** A flag and the setting that it stands for; a dot leads into a section. */
const FLAGS = {
  'trust-domain': 'trustDomain',
  'node-name': 'nodeName',
  broker: 'broker.address',
  'token-file': 'tokenFile',
  'bundle-file': 'bootstrapBundleFile',
  state: 'stateDirectory',
  workloads: 'workloads.directory',
  output: 'workloads.output',
  reread: 'workloads.reread',
  'plugins-registry': 'csi.pluginsRegistry',
  'kubelet-dir': 'csi.kubeletDirectory',
  'operations-listen': 'operations.listen',
  'log-level': 'log.level',
} as const

/** What the command line says. */
export interface CommandLine {
  readonly command: 'run' | 'config-check' | 'help'
  readonly configFile: string | undefined
  /** Settings by flags; they win over the file's. */
  readonly settings: ConfigDocument
}

export const USAGE = `usage: node agent/main.ts [config-check] [--config FILE] ${Object.keys(FLAGS)
  .map((flag) => `[--${flag} …]`)
  .join(' ')} [--allow-disk]`

/** @throws {@link IdentityError} `config_invalid` for what is no flag of ours. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const strings = Object.fromEntries(Object.keys(FLAGS).map((flag) => [flag, { type: 'string' as const }]))
  const options = {
    ...strings,
    config: { type: 'string' as const },
    'allow-disk': { type: 'boolean' as const },
    help: { type: 'boolean' as const },
  }
  let parsed
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new IdentityError('config_invalid', `${(error as Error).message}\n${USAGE}`)
  }
  const [command, file, ...more] = parsed.positionals
  if ((command !== undefined && command !== 'config-check') || more.length > 0)
    throw new IdentityError('config_invalid', USAGE)
  const values: Readonly<Record<string, string | boolean | undefined>> = parsed.values
  const config = values['config']
  return {
    command: values['help'] === true ? 'help' : (command ?? 'run'),
    configFile: typeof config === 'string' ? config : file,
    settings: settingsOf(values),
  }
}

function settingsOf(values: Readonly<Record<string, string | boolean | undefined>>): ConfigDocument {
  const entries: [string, unknown][] = Object.entries(FLAGS).map(([flag, setting]) => [setting, values[flag]])
  const settings: Record<string, unknown> = {}
  for (const [setting, value] of [...entries, ['workloads.allowDisk', values['allow-disk']] as const]) {
    if (value === undefined) continue
    const [section = '', key] = setting.split('.')
    settings[section] = key === undefined ? value : { ...(settings[section] as object | undefined), [key]: value }
  }
  return settings
}
