import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Broker, startBroker } from '../../broker/broker.ts'
import type { BrokerEnvironment } from '../../broker/environment.ts'
import { type BrokerConfig, brokerConfigSchema } from '../../broker/config.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { createLog } from '../../core/runtime/log.ts'
import { parseConfig } from '../../core/runtime/config.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { TokenIssuer } from './token-issuer.ts'

export const TRUST_DOMAIN = 'prod.example'
export const AUDIENCE = `countersign.dev/${TRUST_DOMAIN}`

/** A folder with all that a broker needs: JWKS, wrapping key, and a place for its ledger. */
export interface BrokerFolder {
  readonly directory: string
  readonly issuer: TokenIssuer
  readonly jwksFile: string
  /** PEM. */
  readonly bundleFile: string
  /** The same as a SPIFFE bundle document. */
  readonly bundleDocument: string
  readonly ledgerFile: string
}

export function brokerFolder(clock: Clock = systemClock): BrokerFolder {
  const directory = mkdtempSync(join(tmpdir(), 'broker-'))
  const issuer = new TokenIssuer({ clock })
  mkdirSync(join(directory, 'templates'))
  writeFileSync(join(directory, 'jwks.json'), JSON.stringify(issuer.jwks()))
  writeFileSync(join(directory, 'wrapping.key'), Buffer.alloc(32, 7).toString('base64'))
  return {
    directory,
    issuer,
    jwksFile: join(directory, 'jwks.json'),
    bundleFile: join(directory, 'bundle.pem'),
    bundleDocument: join(directory, 'bundle.json'),
    ledgerFile: join(directory, 'ledger.sqlite'),
  }
}

/** A complete configuration as a document; `change` replaces whole sections. */
export function brokerDocument(folder: BrokerFolder, change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    trustDomain: TRUST_DOMAIN,
    listen: '127.0.0.1:0',
    operations: { listen: '127.0.0.1:0' },
    attestation: { mode: 'jwksOnly', jwksFile: folder.jwksFile, issuer: folder.issuer.issuer },
    templates: { directory: join(folder.directory, 'templates') },
    authority: { wrappingKeyFile: join(folder.directory, 'wrapping.key') },
    ledger: { file: folder.ledgerFile },
    bundle: { files: [folder.bundleFile, folder.bundleDocument] },
    ...change,
  }
}

export function brokerConfig(folder: BrokerFolder, change: Record<string, unknown> = {}): BrokerConfig {
  return parseConfig(JSON.stringify(brokerDocument(folder, change)), brokerConfigSchema, 'test')
}

/** A broker in this process, on real sockets; whoever starts it stops it. */
export async function runningBroker(
  options: {
    readonly folder?: BrokerFolder
    readonly change?: Record<string, unknown>
    readonly environment?: Partial<BrokerEnvironment>
  } = {},
): Promise<Broker & { readonly folder: BrokerFolder }> {
  const folder = options.folder ?? brokerFolder(options.environment?.clock)
  const broker = await startBroker(brokerConfig(folder, options.change), {
    clock: systemClock,
    random: systemRandom,
    log: createLog('broker', 'silent'),
    ...options.environment,
  })
  return { ...broker, folder }
}
