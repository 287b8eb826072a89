import { writeFile } from 'node:fs/promises'
import { startBroker } from '../../broker/broker.ts'
import { brokerConfigSchema } from '../../broker/config.ts'
import { parseConfig } from '../../core/runtime/config.ts'
import { createLog } from '../../core/runtime/log.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBroker } from '../fakes/fake-broker.ts'
import { FakeBrokerAuthorities } from '../fakes/fake-broker-authorities.ts'
import { type TestNode, TRUST_DOMAIN } from './test-node.ts'

/** What a scenario needs of a broker: the fake, or the real one. It lives by the node's clock. */
export interface TestBroker extends AsyncDisposable {
  readonly address: string
  readonly bundleFile: string
  /** Goes away, and keeps its store. */
  stop(): Promise<void>
  /** Comes back on the same port. */
  restart(): Promise<void>
  /**
   * Publishes another authority and lets it sign; each step once the agents may follow.
   *
   * @param nextRenewal lets half of an SVID's life pass, and resolves once the agent has renewed.
   */
  rotate(nextRenewal: () => Promise<void>): Promise<void>
}

/** Starts what can be stopped, started again and, however a test ends, is stopped with it. */
async function restartable<T extends { stop(): Promise<unknown> }>(start: () => Promise<T>) {
  let running: T | undefined = await start()
  const stop = async () => {
    const stopped = running
    running = undefined
    await stopped?.stop()
  }
  return {
    current() {
      if (!running) throw new Error('the broker is away')
      return running
    },
    stop,
    async restart() {
      running = await start()
    },
    [Symbol.asyncDispose]: stop,
  }
}

export async function startFake(node: TestNode, ttlMs: number): Promise<TestBroker> {
  const { clock } = node
  const authorities = await FakeBrokerAuthorities.create(TrustDomain.parse(TRUST_DOMAIN), clock)
  const bundleFile = node.path('bundle.json')
  await writeFile(bundleFile, encodeBundleDocument({ x509: authorities.bundle, jwtAuthorities: [] }))
  let port = 0
  const start = () =>
    FakeBroker.start({
      authorities,
      clock,
      port,
      identityOf: ({ namespace, serviceAccount }) => ({ path: ['ns', namespace, 'sa', serviceAccount], ttlMs }),
    })
  const broker = await restartable(start)
  const { address } = broker.current()
  port = broker.current().port
  const acknowledged = async () => {
    while (broker.current().acknowledged.at(-1) !== broker.current().revision) await clock.sleep(10)
  }
  return {
    ...broker,
    address,
    bundleFile,
    async rotate() {
      const before = authorities.activeKeyId
      await authorities.prepare()
      broker.current().publishBundle()
      await acknowledged()
      authorities.activate()
      broker.current().orderRenewal([before])
      await acknowledged()
      authorities.retire()
      broker.current().publishBundle()
      await acknowledged()
    },
  }
}

/** The broker itself. Its authorities live for twice as long as what they sign, and rotate by their own schedule. */
export async function startReal(node: TestNode, ttlMs: number): Promise<TestBroker> {
  await writeFile(node.path('jwks.json'), JSON.stringify(node.tokens.jwks()))
  await writeFile(node.path('wrapping.key'), Buffer.alloc(32, 7).toString('base64'))
  const bundleFile = node.path('bundle.json')
  let port = 0
  const start = () => {
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
      clock: node.clock,
      random: systemRandom,
      log: createLog('broker', process.env['BROKER_LOG'] === undefined ? 'silent' : 'debug'),
    })
  }
  const broker = await restartable(start)
  const { address } = broker.current()
  port = broker.current().port
  return {
    ...broker,
    address,
    bundleFile,
    // It does so by itself: the next authority is made in half of a life, which is that of an SVID, and signs a little later.
    async rotate(nextRenewal) {
      for (const _ of ['made', 'made', 'signs']) await nextRenewal()
    },
  }
}
