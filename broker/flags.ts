import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import { parseConfig } from '../core/runtime/config.ts'
import { IdentityError } from '../core/runtime/errors.ts'
import { flagLines } from '../core/runtime/flag-lines.ts'
import { type BrokerConfig, brokerConfigSchema, readBrokerConfig } from './config.ts'
import type { UninstallCheckOptions } from './uninstall-check.ts'

const text = { type: 'string' } as const
const texts = { type: 'string', multiple: true } as const

/**
 * What a broker can be started with without a file: development and tests. Everything else has its default. Each with
 * what it takes, and the setting that it stands for.
 */
const FLAGS = {
  config: { ...text, takes: 'FILE', means: 'the file with the settings; stands alone' },
  'trust-domain': { ...text, takes: 'NAME', means: 'trustDomain' },
  data: { ...text, takes: 'DIR', means: 'the folder of ledger.file and of authority.wrappingKeyFile, which is made' },
  jwks: { ...text, takes: 'FILE', means: 'attestation.jwksFile, with attestation.mode jwksOnly' },
  kubeconfig: { ...text, takes: 'FILE', means: 'kubernetes.kubeconfig, with attestation.mode tokenReview' },
  issuer: { ...text, takes: 'URL', means: 'attestation.issuer' },
  audience: { ...text, takes: 'NAME', means: 'attestation.audience' },
  agent: { ...texts, takes: 'NAMESPACE/NAME', means: 'attestation.agents; may be repeated' },
  listen: { ...text, takes: 'HOST:PORT', means: 'listen; default here: 127.0.0.1:0, a free port' },
  'operations-listen': { ...text, takes: 'HOST:PORT', means: 'operations.listen; default here: 127.0.0.1:0' },
  templates: { ...text, takes: 'DIR', means: 'templates.directory' },
  'bundle-file': { ...texts, takes: 'FILE', means: 'bundle.files, .pem or .json; may be repeated' },
  'min-ttl': { ...text, takes: '5m', means: 'issuance.minTtl' },
  'max-ttl': { ...text, takes: '24h', means: 'issuance.maxTtl' },
  'default-ttl': { ...text, takes: '1h', means: 'issuance.defaultTtl' },
  'agent-ttl': { ...text, takes: '1h', means: 'issuance.agentTtl' },
  'issuance-rate': { ...text, takes: 'NUMBER', means: 'issuance.perNode and issuance.perPod, a second' },
  'authority-lifetime': { ...text, takes: '14d', means: 'authority.lifetime' },
  'log-level': { ...text, takes: 'LEVEL', means: 'log.level' },
  undo: {
    ...text,
    takes: 'COMMAND',
    means: 'for uninstall-check: the command that its answer gives to those who keep Countersign',
  },
  help: { type: 'boolean', short: 'h', takes: '', means: 'this text; also -h' },
} as const

const USAGE = `usage: broker --config FILE
       broker config-check FILE
       broker uninstall-check [--kubeconfig FILE] [--undo COMMAND]
       broker --trust-domain NAME --data DIR (--jwks FILE --issuer URL | --kubeconfig FILE) [FLAG VALUE]...

Each flag stands for a setting of the file; docs/configuration.md tells what they mean.

${flagLines(Object.entries(FLAGS).map(([flag, { takes, means }]) => [`${flag} ${takes}`, means]))}`

/** What the command line asks for. */
export type Command =
  | { readonly run: BrokerConfig }
  | { readonly check: string }
  | { readonly uninstallCheck: UninstallCheckOptions }
  | { readonly help: string }

/** @throws `IdentityError` `config_invalid`. */
export function readCommand(args: readonly string[]): Command {
  const { values, positionals } = parse(args)
  if (values.help) return { help: USAGE }
  if (positionals[0] === 'config-check' && positionals[1] !== undefined && positionals.length === 2) {
    return { check: positionals[1] }
  }
  if (positionals[0] === 'uninstall-check' && positionals.length === 1)
    return { uninstallCheck: uninstallCheckOf(values) }
  if (positionals.length > 0) throw unusable(positionals)
  const { config, help: _help, ...flags } = values
  if (config === undefined) return { run: configOfFlags(flags) }
  if (Object.keys(flags).length > 0) {
    throw new IdentityError('config_invalid', `--config stands alone; set the rest in the file\n${USAGE}`)
  }
  return { run: readBrokerConfig(config) }
}

function unusable([command = '']: readonly string[]): IdentityError {
  const takes = { 'config-check': 'takes one file', 'uninstall-check': 'takes flags alone' }[command]
  const why = takes ?? 'is no command; config-check and uninstall-check are'
  return new IdentityError('config_invalid', `${command} ${why}\n${USAGE}`)
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS, allowPositionals: true, strict: true })
  } catch (error) {
    throw new IdentityError('config_invalid', `${(error as Error).message}\n${USAGE}`)
  }
}

function uninstallCheckOf({ kubeconfig, undo, ...others }: ReturnType<typeof parse>['values']): UninstallCheckOptions {
  const [other] = Object.keys(others)
  if (other) throw new IdentityError('config_invalid', `--${other} is not for uninstall-check\n${USAGE}`)
  return { kubeconfig, undo }
}

type Flags = Omit<ReturnType<typeof parse>['values'], 'config' | 'help'>

/** The same schema, filled from flags: the same messages, the same defaults. */
function configOfFlags(flags: Flags): BrokerConfig {
  const { data, jwks, kubeconfig, 'issuance-rate': issuanceRate } = flags
  // A load test asks for more than a node and a pod ever do.
  const rate = issuanceRate === undefined ? {} : { burst: Number(issuanceRate), perSecond: Number(issuanceRate) }
  if (data === undefined || flags['trust-domain'] === undefined)
    throw new IdentityError('config_invalid', `without --config, --trust-domain and --data are needed\n${USAGE}`)
  if (flags.undo !== undefined) throw new IdentityError('config_invalid', `--undo is for uninstall-check\n${USAGE}`)
  const document = {
    trustDomain: flags['trust-domain'],
    listen: flags.listen ?? '127.0.0.1:0',
    operations: { listen: flags['operations-listen'] ?? '127.0.0.1:0' },
    attestation: {
      mode: kubeconfig === undefined ? 'jwksOnly' : 'tokenReview',
      jwksFile: jwks,
      issuer: flags.issuer,
      audience: flags.audience,
      agents: flags.agent,
    },
    kubernetes: kubeconfig === undefined ? undefined : { kubeconfig },
    templates: flags.templates === undefined ? undefined : { directory: flags.templates },
    issuance: {
      minTtl: flags['min-ttl'],
      maxTtl: flags['max-ttl'],
      defaultTtl: flags['default-ttl'],
      agentTtl: flags['agent-ttl'],
      perNode: rate,
      perPod: rate,
    },
    authority: { lifetime: flags['authority-lifetime'], wrappingKeyFile: wrappingKeyIn(data) },
    ledger: { file: join(data, 'ledger.sqlite') },
    bundle: { files: flags['bundle-file'] },
    log: { level: flags['log-level'] },
  }
  return parseConfig(stringify(document), brokerConfigSchema, 'flags')
}

/** For development the wrapping key is made beside the ledger; in earnest it is a file of its own, from elsewhere. */
function wrappingKeyIn(data: string): string {
  const file = join(data, 'wrapping.key')
  try {
    mkdirSync(data, { recursive: true, mode: 0o700 })
    if (!existsSync(file)) writeFileSync(file, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    throw new IdentityError('config_invalid', `--data ${data} cannot be written`, { cause: error })
  }
  return file
}
