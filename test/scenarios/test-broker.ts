import { writeFile } from 'node:fs/promises'
import { startBroker } from '../../broker/broker.ts'
import { brokerConfigSchema } from '../../broker/config.ts'
import { parseConfig } from '../../core/runtime/config.ts'
import { createLog } from '../../core/runtime/log.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBroker } from '../fakes/fake-broker.ts'
import { FakeBrokerAuthorities } from '../fakes/fake-broker-authorities.ts'
import { type TestNode, TRUST_DOMAIN } from './test-node.ts'

/** What a scenario needs of a broker: the fake, or the real one. */
export interface TestBroker {
  readonly address: string
  readonly bundleFile: string
  /** Goes away, and keeps its store. */
  stop(): Promise<void>
  /** Comes back on the same port. */
  restart(): Promise<void>
  /** Publishes another authority, lets it sign, and drops the one before; each step once the agents may follow. */
  rotate(): Promise<void>
}

export async function startFake(node: TestNode, ttlMs: number): Promise<TestBroker & { broker: () => FakeBroker }> {
  const authorities = await FakeBrokerAuthorities.create(TrustDomain.parse(TRUST_DOMAIN), systemClock)
  const bundleFile = node.path('bundle.json')
  await writeFile(bundleFile, encodeBundleDocument({ x509: authorities.bundle, jwtAuthorities: [] }))
  const start = (port: number) =>
    FakeBroker.start({
      authorities,
      clock: systemClock,
      port,
      identityOf: ({ namespace, serviceAccount }) => ({ path: ['ns', namespace, 'sa', serviceAccount], ttlMs }),
    })
  let broker = await start(0)
  const { port, address } = broker
  const acknowledged = async () => {
    while (broker.acknowledged.at(-1) !== broker.revision) await systemClock.sleep(10)
  }
  return {
    address,
    bundleFile,
    broker: () => broker,
    stop: () => broker.stop(),
    async restart() {
      broker = await start(port)
    },
    async rotate() {
      const before = authorities.activeKeyId
      await authorities.prepare()
      broker.publishBundle()
      await acknowledged()
      authorities.activate()
      broker.orderRenewal([before])
      await acknowledged()
      authorities.retire()
      broker.publishBundle()
      await acknowledged()
    },
  }
}

/**
 * The broker itself. Its authorities rotate by their own schedule, so fast as their lifetime (twice what they sign for)
 * has it.
 */
export async function startReal(node: TestNode, ttlMs: number): Promise<TestBroker> {
  await writeFile(node.path('jwks.json'), JSON.stringify(node.tokens.jwks()))
  await writeFile(node.path('wrapping.key'), Buffer.alloc(32, 7).toString('base64'))
  const bundleFile = node.path('bundle.json')
  const start = (port: number) => {
    const ttl = `${ttlMs}ms`
    const config = {
      trustDomain: TRUST_DOMAIN,
      listen: `127.0.0.1:${port}`,
      operations: { listen: '127.0.0.1:0' },
      attestation: { mode: 'jwksOnly', jwksFile: node.path('jwks.json'), issuer: node.tokens.issuer },
      issuance: { minTtl: ttl, maxTtl: ttl, defaultTtl: ttl, agentTtl: ttl },
      authority: { wrappingKeyFile: node.path('wrapping.key'), lifetime: `${2 * ttlMs}ms` },
      ledger: { file: node.path('ledger.sqlite') },
      bundle: { files: [bundleFile] },
    }
    return startBroker(parseConfig(JSON.stringify(config), brokerConfigSchema, 'test'), {
      clock: systemClock,
      random: systemRandom,
      log: createLog('broker', process.env['BROKER_LOG'] === undefined ? 'silent' : 'debug'),
    })
  }
  let broker = await start(0)
  const { port, address } = broker
  return {
    address,
    bundleFile,
    stop: async () => void (await broker.stop()),
    async restart() {
      broker = await start(port)
    },
    // It does so by itself.
    rotate: () => Promise.resolve(),
  }
}
