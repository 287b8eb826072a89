import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createCsr } from '../../core/pki/csr.ts'
import { generateKeyPair } from '../../core/pki/key.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { x509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { FakeBroker, type FakeBrokerOptions } from '../../test/fakes/fake-broker.ts'
import { TokenIssuer } from '../../test/fakes/token-issuer.ts'
import type { Urgency } from '../workloads/svid-issuing.ts'
import type { Bundles } from '../workloads/workload.ts'
import { BrokerLink, type LinkConfig } from './broker-link.ts'

const trustDomain = TrustDomain.parse('test.example')
const forever = new AbortController().signal
const tokens = new TokenIssuer()
const { privateKey } = await generateKeyPair('ec-p256')
const csr = createCsr(privateKey)

let directory: string
let tokenFile: string
let authorities: FakeBrokerAuthorities
let broker: FakeBroker
let link: BrokerLink
let told: {
  errors: unknown[]
  failures: string[]
  attested: string[]
  enforced: bigint[]
  skews: number[]
  connected: number
}
let enforce: (bundles: Bundles) => Promise<void>
let renewSignedBy: (ids: ReadonlySet<string>) => Promise<void>
let held: string[]

const factsOf = (podName: string, nodeName = 'node-a') => ({
  namespace: 'shop',
  serviceAccount: podName,
  serviceAccountUid: `uid-of-${podName}`,
  podName,
  podUid: `uid-of-${podName}`,
  nodeName,
  nodeUid: `uid-of-${nodeName}`,
})
const tokenOf = (podName: string, nodeName?: string) =>
  tokens.mint({ facts: factsOf(podName, nodeName), audience: 'countersign.dev/test.example' })

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'link-'))
  tokenFile = join(directory, 'token')
  await writeFile(tokenFile, tokenOf('agent'))
  authorities = await FakeBrokerAuthorities.create(trustDomain, systemClock)
  told = { errors: [], failures: [], attested: [], enforced: [], skews: [], connected: 0 }
  enforce = async () => {}
  renewSignedBy = async () => {}
  held = []
})

afterEach(async () => {
  await link.stop()
  await broker.stop()
  await rm(directory, { recursive: true, force: true })
})

async function start(
  options: Partial<FakeBrokerOptions> & {
    config?: Partial<LinkConfig>
    trust?: Bundles
    heard?: bigint
    linkClock?: Clock
    attestationRefusal?: IdentityError
  } = {},
): Promise<void> {
  const { config, heard, linkClock = systemClock, attestationRefusal, ...change } = options
  const { trust = { own: authorities.bundle, federated: [] } } = options
  broker = await FakeBroker.start({ authorities, clock: systemClock, ...change })
  broker.attestationRefusal = attestationRefusal
  link = new BrokerLink(
    { trustDomain, address: broker.address, nodeName: 'node-a', tokenFile, agentVersion: 'test', ...config },
    { bundles: trust, heard: heard ?? 0n },
    {
      target: {
        enforce: (bundles) => enforce(bundles),
        renewSignedBy: (ids) => renewSignedBy(ids),
        serialNumbers: () => held,
      },
      observer: {
        connected: () => void (told.connected += 1),
        failed: (error) => {
          told.errors.push(error)
          told.failures.push(codeOf(error))
        },
        attested: ({ id }) => void told.attested.push(id.toString()),
        enforced: (sequence) => void told.enforced.push(sequence),
        skew: (milliseconds) => void told.skews.push(milliseconds),
      },
      reloadTrust: async ({ bundles }) => bundles,
      clock: linkClock,
      random: systemRandom,
    },
  )
  link.start()
}

const eventually = (look: () => void) => vi.waitFor(look, { timeout: 10_000, interval: 5 })
const connected = () => eventually(() => expect(link.isConnected).toBe(true))
const ask = (podName: string, urgency: Urgency = 'newPod', expiresAtMs = 0) =>
  link.issue({ pod: { ...factsOf(podName) }, token: tokenOf(podName), csr, urgency, expiresAtMs }, forever)

test('the node is attested, the stream stands, and what is enforced is acknowledged', async () => {
  held = ['ab01']
  await start()
  await eventually(() => expect(broker.acknowledged).toEqual([1n]))
  expect(told).toMatchObject({
    attested: ['spiffe://test.example/countersign/agent/node-a'],
    connected: 1,
    failures: [],
  })
  expect(broker.hellos).toMatchObject([{ bundleSequence: 0n, heldSerialNumbers: ['ab01'] }])
  expect(told.enforced).toEqual([1n])
})

describe('who is on the other side', () => {
  test.for([
    { name: 'a workload', ownPath: ['ns', 'shop', 'sa', 'cart'] },
    { name: 'an agent', ownPath: ['countersign', 'agent', 'node-a'] },
    { name: 'something below the broker', ownPath: ['countersign', 'broker', 'x'] },
  ])('is not the broker: $name is told nothing', async ({ ownPath }) => {
    await start({ ownPath })
    await eventually(() => expect(told.failures).toContain('chain_untrusted'))
    expect([broker.attestations, broker.batches.length]).toEqual([0, 0])
  })

  test('is of another authority: nothing is told', async () => {
    const other = await FakeBrokerAuthorities.create(trustDomain, systemClock)
    await start({ trust: { own: other.bundle, federated: [] } })
    await eventually(() => expect(told.failures).toContain('chain_untrusted'))
    expect(broker.attestations).toBe(0)
  })

  test('invariant 5: is of another trust domain: nothing is told', async () => {
    const other = await FakeBrokerAuthorities.create(TrustDomain.parse('other.example'), systemClock)
    await start({ authorities: other })
    await eventually(() => expect(told.failures).toContain('chain_untrusted'))
    expect(broker.attestations).toBe(0)
  })

  test('takes us for another node: its SVID is not used', async () => {
    await start({ config: { nodeName: 'node-b' } })
    await eventually(() => expect(told.failures).toContain('certificate_invalid'))
    expect(link.isConnected).toBe(false)
  })
})

test('what is not enforced yet is not acknowledged', async () => {
  const gate = Promise.withResolvers<void>()
  enforce = () => gate.promise
  await start()
  await connected()
  await authorities.prepare()
  broker.publishBundle()
  await eventually(() => expect(broker.hellos).toHaveLength(1))
  expect(broker.acknowledged).toEqual([])
  gate.resolve()
  // The first is acknowledged too late to matter, the newest surely.
  await eventually(() => expect(broker.acknowledged.at(-1)).toBe(2n))
  expect(told.enforced.at(-1)).toBe(2n)
})

test('a bundle that is behind what is known takes nothing back', async () => {
  const old = authorities.bundle
  await authorities.prepare()
  const enforced: bigint[] = []
  enforce = async ({ own }) => void enforced.push(own.sequence)
  await start()
  await eventually(() => expect(enforced).toEqual([2n]))
  Object.defineProperty(authorities, 'bundle', { get: () => old })
  broker.publishBundle()
  await ask('cart')
  expect(enforced).toEqual([2n])
})

describe('what a file says of trust, whatever its sequence,', () => {
  const forged = async () => {
    const evil = await FakeBrokerAuthorities.create(trustDomain, systemClock)
    const both = [...authorities.bundle.authorities, ...evil.bundle.authorities]
    return { own: x509Bundle(trustDomain, both, { sequence: 2n ** 62n }), federated: [] }
  }

  test('ends with the first word of the broker', async () => {
    const enforced: Bundles[] = []
    enforce = async (bundles) => void enforced.push(bundles)
    await start({ trust: await forged() })
    await eventually(() => expect(enforced.at(-1)?.own).toEqual(authorities.bundle))
    await authorities.prepare()
    broker.publishBundle()
    await eventually(() => expect(enforced.at(-1)?.own.sequence).toBe(2n))
  })

  test('does not let the broker go back behind what it said before a restart', async () => {
    const enforced: bigint[] = []
    enforce = async ({ own }) => void enforced.push(own.sequence)
    await start({ trust: await forged(), heard: 2n })
    await connected()
    await ask('cart')
    expect(enforced).toEqual([])
    await authorities.prepare()
    broker.publishBundle()
    await eventually(() => expect(enforced).toEqual([2n]))
  })
})

describe('SVIDs are asked for', () => {
  test('one for a pod that starts, without waiting for others', async () => {
    await start()
    await connected()
    expect(await ask('cart')).toMatchObject({
      spiffeId: 'spiffe://test.example/ns/shop/sa/cart',
      lifetimeMs: 3_600_000,
    })
    expect(broker.batches.map(({ length }) => length)).toEqual([1])
  })

  test('many at a time, at most 50 in a call, the nearest to their end first', async () => {
    await start()
    await connected()
    await Promise.all(Array.from({ length: 120 }, (_, index) => ask('cart', 'routine', 1000 - index)))
    expect(broker.batches.every(({ length }) => length <= 50)).toBe(true)
    expect(broker.batches.length).toBeLessThanOrEqual(4)
    expect(broker.batches.flat()).toHaveLength(120)
  })

  test('with one refusal among them, the others are served', async () => {
    await start()
    await connected()
    const results = await Promise.allSettled([
      ask('cart', 'routine'),
      link.issue(
        { pod: factsOf('payments'), token: tokenOf('payments', 'node-b'), csr, urgency: 'routine', expiresAtMs: 0 },
        forever,
      ),
    ])
    expect(results).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'node_mismatch' } }])
  })

  test('with one among them for which the whole batch is refused, the others are served', async () => {
    await start()
    await connected()
    const results = Promise.allSettled(
      ['cart', 'x'.repeat(200), ...Array.from({ length: 48 }, () => 'cart')].map((name) => ask(name, 'routine')),
    )
    const refused = (await results).filter(({ status }) => status === 'rejected')
    expect(refused).toMatchObject([{ reason: { code: 'request_invalid' } }])
    // Once each, and never again.
    expect(broker.batches.map(({ length }) => length)).toEqual([50, ...Array<number>(50).fill(1)])
  })

  test('never for a pod that is not known: the broker is not asked', async () => {
    await start()
    await connected()
    const unknown = { ...factsOf('payments'), podUid: '' }
    const asked = link.issue(
      { pod: unknown, token: tokenOf('payments'), csr, urgency: 'routine', expiresAtMs: 0 },
      forever,
    )
    await expect(asked).rejects.toMatchObject({ code: 'token_unbound' })
    expect(broker.batches).toEqual([])
  })

  test('and a refusal comes with its facts and its retry time', async () => {
    const refuse = () => {
      throw new IdentityError('overloaded', 'later', { retryAfterMs: 1500, facts: { keyType: 'ec-p384' } })
    }
    await start({ identityOf: refuse })
    await connected()
    await expect(ask('cart')).rejects.toMatchObject({
      code: 'overloaded',
      retryAfterMs: 1500,
      facts: { keyType: 'ec-p384' },
    })
  })

  test('in vain while there is no connection', async () => {
    await start({ ownPath: ['ns', 'x'] })
    await expect(ask('cart')).rejects.toMatchObject({ code: 'broker_unavailable' })
  })
})

test('the broker comes back: the link stands again, and who waits is told at once', async () => {
  await start()
  await connected()
  const { port } = broker
  const returned = link.returned(forever)
  await broker.stop()
  await eventually(() => expect(link.isConnected).toBe(false))
  link.ended(['cd02'])
  broker = await FakeBroker.start({ authorities, clock: systemClock, port })
  await returned
  await eventually(() => expect(broker.ended).toEqual(['cd02']))
  expect(broker.hellos.at(-1)?.bundleSequence).toBe(1n)
  expect(told.connected).toBe(2)
  // The own SVID is still good: nothing is attested again.
  expect(told.attested).toHaveLength(1)
})

test.for([
  { who: 'nobody waits', isAwaited: false, least: 1_001, most: 5_000 },
  { who: 'a pod waits for its first SVID', isAwaited: true, least: 0, most: 1_000 },
])('a broker that stays away is looked for at most every $most ms while $who', async ({ isAwaited, least, most }) => {
  const pauses: number[] = []
  const sleep = (milliseconds: number, signal?: AbortSignal) => {
    if (told.failures.length > 0) pauses.push(milliseconds)
    return systemClock.sleep(told.failures.length > 0 ? 1 : milliseconds, signal)
  }
  await start({ linkClock: { ...systemClock, sleep } })
  await connected()
  const given = new AbortController()
  const returned = isAwaited ? link.returned(given.signal).catch(() => {}) : undefined
  await broker.stop()
  await eventually(() => expect(told.failures.length).toBeGreaterThan(10))
  // Deadlines of attempts are waited for with the same clock.
  const backOffs = pauses.filter((pause) => pause <= 5_000)
  expect(Math.max(...backOffs)).toBeLessThanOrEqual(most)
  expect(Math.max(...backOffs)).toBeGreaterThanOrEqual(least)
  given.abort()
  await returned
})

test('the own SVID is renewed in time, with a new connection before the old one ends', async () => {
  await start({ agentTtlMs: 1_200 })
  await connected()
  const lost: number[] = []
  while (told.attested.length < 3) {
    if (!link.isConnected) lost.push(systemClock.monotonicMs())
    await systemClock.sleep(5)
  }
  expect(lost).toEqual([])
  expect(told.connected).toBe(1)
  await eventually(() => expect(broker.streams).toBe(1))
  expect(broker.resumed, 'invariant 8: a TLS session is never resumed').toBe(0)
})

test('an order to renew is carried out, then acknowledged; the own SVID is renewed with it', async () => {
  const gate = Promise.withResolvers<void>()
  const orders: string[][] = []
  renewSignedBy = (ids) => {
    orders.push([...ids])
    return gate.promise
  }
  await start()
  await eventually(() => expect(broker.acknowledged).toEqual([1n]))
  broker.orderRenewal([authorities.activeKeyId])
  await eventually(() => expect(told.attested).toHaveLength(2))
  expect(orders).toEqual([[authorities.activeKeyId]])
  expect(broker.acknowledged).not.toContain(2n)
  gate.resolve()
  await eventually(() => expect(broker.acknowledged).toContain(2n))
})

test('skew is measured against the broker, and put right', async () => {
  const ahead: Clock = { ...systemClock, now: () => new Date(systemClock.now().getTime() + 30_000) }
  authorities = await FakeBrokerAuthorities.create(trustDomain, ahead)
  await start({ clock: ahead })
  await connected()
  expect(told.skews.at(-1)).toBeGreaterThan(29_000)
  expect(told.skews.at(-1)).toBeLessThan(31_000)
  expect(Math.abs(link.now().getTime() - ahead.now().getTime())).toBeLessThan(1_000)
})

test('the token is read again for each attestation', async () => {
  await writeFile(tokenFile, 'rubbish')
  await start()
  await eventually(() => expect(told.failures).toContain('token_malformed'))
  await writeFile(tokenFile, tokenOf('agent'))
  await connected()
})

test('the time that the broker asks for before the next attestation is kept', async () => {
  const waits: number[] = []
  const linkClock: Clock = {
    ...systemClock,
    sleep: (milliseconds, signal) => {
      waits.push(milliseconds)
      return systemClock.sleep(Math.min(milliseconds, 100), signal)
    },
  }
  await start({ linkClock, attestationRefusal: new IdentityError('overloaded', 'later', { retryAfterMs: 77_000 }) })
  await eventually(() => expect(told.failures).toContain('overloaded'))
  await eventually(() => expect(waits.filter((wait) => wait >= 77_000)).not.toEqual([]))
})

test('a token file that is not there is told with its path', async () => {
  await rm(tokenFile)
  await start()
  await eventually(() => expect(told.failures).toContain('config_invalid'))
  expect(String(told.errors[0])).toContain(`the token file ${tokenFile} cannot be read: ENOENT`)
})

test('invariant 6: no failure that is told holds a token or a key', async () => {
  await start({
    identityOf: () => {
      throw new IdentityError('template_not_matched', 'no template')
    },
  })
  await connected()
  const refused = await ask('cart').catch((error: unknown) => error)
  await broker.stop()
  await eventually(() => expect(told.failures.length).toBeGreaterThan(0))
  const everything = inspect([refused, ...told.errors], { depth: 12, showHidden: true })
  expect(everything).toContain('template_not_matched')
  expect(everything).not.toMatch(/eyJ|PRIVATE KEY/)
})
