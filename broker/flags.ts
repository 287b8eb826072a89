import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import { parseConfig } from '../core/runtime/config.ts'
import { IdentityError } from '../core/runtime/errors.ts'
import { type BrokerConfig, brokerConfigSchema, readBrokerConfig } from './config.ts'
import type { UninstallCheckOptions } from './uninstall-check.ts'

const text = { type: 'string' } as const

/** What a broker can be started with without a file: development and tests. Everything else has its default. */
const FLAGS = {
  help: { type: 'boolean', short: 'h' },
  config: text,
  'trust-domain': text,
  listen: text,
  'operations-listen': text,
  jwks: text,
  issuer: text,
  audience: text,
  kubeconfig: text,
  agent: { type: 'string', multiple: true },
  templates: text,
  data: text,
  'bundle-file': { type: 'string', multiple: true },
  'min-ttl': text,
  'max-ttl': text,
  'default-ttl': text,
  'agent-ttl': text,
  'issuance-rate': text,
  'authority-lifetime': text,
  'log-level': text,
  undo: text,
} as const

const USAGE = `usage: broker --config FILE
       broker config-check FILE
       broker uninstall-check [--kubeconfig FILE] [--undo COMMAND]
       broker --trust-domain NAME --data DIR (--jwks FILE --issuer URL | --kubeconfig FILE) [--listen 127.0.0.1:0]
              [--operations-listen 127.0.0.1:0] [--templates DIR] [--bundle-file FILE.json|FILE.pem]... [--agent NAMESPACE/NAME]...
              [--audience NAME] [--min-ttl 5m] [--max-ttl 24h] [--default-ttl 1h] [--agent-ttl 1h]
              [--issuance-rate PER_SECOND] [--authority-lifetime 14d] [--log-level info]`

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
  if (positionals.length > 0) throw new IdentityError('config_invalid', USAGE)
  const { config, help: _help, ...flags } = values
  if (config === undefined) return { run: configOfFlags(flags) }
  if (Object.keys(flags).length > 0) {
    throw new IdentityError('config_invalid', `--config stands alone; set the rest in the file\n${USAGE}`)
  }
  return { run: readBrokerConfig(config) }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS, allowPositionals: true, strict: true })
  } catch (error) {
    throw new IdentityError('config_invalid', `${(error as Error).message}\n${USAGE}`)
  }
}

function uninstallCheckOf({ kubeconfig, undo, ...others }: ReturnType<typeof parse>['values']): UninstallCheckOptions {
  if (Object.keys(others).length > 0) throw new IdentityError('config_invalid', USAGE)
  return { kubeconfig, undo }
}

type Flags = Omit<ReturnType<typeof parse>['values'], 'config' | 'help'>

/** The same schema, filled from flags: the same messages, the same defaults. */
function configOfFlags(flags: Flags): BrokerConfig {
  const { data, jwks, kubeconfig, 'issuance-rate': issuanceRate } = flags
  // A load test asks for more than a node and a pod ever do.
  const rate = issuanceRate === undefined ? {} : { burst: Number(issuanceRate), perSecond: Number(issuanceRate) }
  if (data === undefined || flags['trust-domain'] === undefined || flags.undo !== undefined)
    throw new IdentityError('config_invalid', USAGE)
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
