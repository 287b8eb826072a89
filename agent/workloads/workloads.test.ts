import { beforeEach, describe, expect, test, vi } from 'vitest'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { parseCsr } from '../../core/pki/csr.ts'
import { keyTypeOf } from '../../core/pki/key.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { x509Bundle } from '../../core/spiffe/bundle.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { FakeDelivery } from '../../test/fakes/fake-delivery.ts'
import { svidFor } from '../../test/fakes/workload-identities.ts'
import type { Lifetime } from './ports.ts'
import type { IssuedSvid, IssueRequest } from './svid-issuing.ts'
import { Workloads } from './workloads.ts'

const HOUR = 3_600_000
const TOKEN = 'a.token.of-kubelet'
const pod = { podUid: 'uid-1', podName: 'cart-0', namespace: 'shop', serviceAccount: 'cart' }
const forever = new AbortController().signal
const random = { bytes: (count: number) => new Uint8Array(count), fraction: () => 0 }

let clock: FakeClock
let authorities: FakeBrokerAuthorities
let delivery: FakeDelivery
let workloads: Workloads
let issue: (request: IssueRequest) => Promise<IssuedSvid>
let requests: IssueRequest[]
let held: Map<string, Lifetime>
let hastened: string[]
let tokens: string[]
let ended: string[]
let returns: (() => void)[]

/** Signs what is asked, as a broker would. */
async function sign({ csr, pod: { namespace, serviceAccount } }: IssueRequest): Promise<IssuedSvid> {
  const id = SpiffeId.of(authorities.trustDomain, 'ns', namespace, 'sa', serviceAccount)
  const { der, notAfter } = authorities.sign(id, parseCsr(csr).spki, HOUR)
  return { spiffeId: id.toString(), chain: [der], notAfter, lifetimeMs: HOUR, hint: '' }
}

beforeEach(async () => {
  clock = new FakeClock()
  authorities = await FakeBrokerAuthorities.create(TrustDomain.parse('test.example'), clock)
  delivery = new FakeDelivery()
  issue = sign
  requests = []
  held = new Map()
  hastened = []
  tokens = []
  ended = []
  returns = []
  workloads = new Workloads(bundles(), {
    broker: {
      issue: (request) => {
        requests.push(request)
        return issue(request)
      },
      returned: (signal) =>
        new Promise((resolve, reject) => {
          returns.push(resolve)
          signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
        }),
      now: () => clock.now(),
      ended: (serials) => ended.push(...serials),
    },
    renewals: {
      held: (id, lifetime) => held.set(id, lifetime),
      tokenCame: (id) => tokens.push(id),
      hasten: (ids) => hastened.push(...ids),
      forget: (id) => held.delete(id),
    },
    endpoint: { accept: () => {}, release: async () => {}, stop: async () => {} },
    clock,
    random,
  })
})

const bundles = () => ({ own: authorities.bundle, federated: [] })
const add = (change: Partial<Parameters<Workloads['add']>[0]> = {}) =>
  workloads.add({ id: 'v1', pod, token: TOKEN, delivery, ...change })
const away = () => Promise.reject(new IdentityError('broker_unavailable', 'away'))

describe('a new workload', () => {
  test('has its files before its socket, and is scheduled', async () => {
    await add()
    expect(delivery.calls).toEqual(['write', 'listen'])
    expect(delivery.written[0]?.svid.id.toString()).toBe('spiffe://test.example/ns/shop/sa/cart')
    expect(held.get('v1')).toEqual({ receivedAtMs: clock.monotonicMs(), expiresAtMs: clock.monotonicMs() + HOUR })
    expect(requests).toMatchObject([{ urgency: 'newPod', token: TOKEN }])
  })

  test('is asked for once, however often it is added at the same time', async () => {
    await Promise.all([add(), add(), add()])
    expect(requests).toHaveLength(1)
    await add({ token: 'another' })
    expect(requests).toHaveLength(1)
    expect(tokens).toEqual(['v1'])
  })

  test('is held while the broker is away, and served the moment it is back', async () => {
    issue = away
    const added = add()
    await vi.waitFor(() => expect(returns.length).toBeGreaterThan(0))
    issue = sign
    returns.at(-1)?.()
    await added
    expect(delivery.calls).toEqual(['write', 'listen'])
  })

  test('is given up after 100 s, with the reason of the last attempt, and nothing is left', async () => {
    issue = away
    const outcome = add().catch((error: unknown) => error)
    let result: unknown
    void outcome.then((error) => (result = error))
    for (let waits = 0; result === undefined; waits += 1) {
      await vi.waitFor(() => expect(result !== undefined || returns.length > waits).toBe(true))
      await clock.advance(5_000)
      await new Promise((resume) => setImmediate(resume))
    }
    expect(result).toMatchObject({ code: 'broker_unavailable', facts: { last: 'broker_unavailable' } })
    expect(clock.monotonicMs() - Date.parse('2026-01-01T00:00:00Z')).toBeGreaterThanOrEqual(100_000)
    expect(clock.monotonicMs() - Date.parse('2026-01-01T00:00:00Z')).toBeLessThanOrEqual(110_000)
    expect(delivery.calls).toEqual(['remove'])
    expect(workloads.has('v1')).toBe(false)
  })

  test.for(['template_not_matched', 'token_expired', 'identity_denied'] as const)(
    'is refused at once for %s',
    async (code) => {
      issue = () => Promise.reject(new IdentityError(code, 'no'))
      await expect(add()).rejects.toMatchObject({ code })
      expect(requests).toHaveLength(1)
      expect(delivery.calls).toEqual(['remove'])
    },
  )

  test('that is removed while it is held ends at once', async () => {
    issue = away
    const added = add().catch((error: unknown) => error)
    await vi.waitFor(() => expect(returns.length).toBeGreaterThan(0))
    await workloads.remove('v1')
    expect(await added).toMatchObject({ code: 'workload_unknown' })
    expect(delivery.calls).not.toContain('write')
  })

  test('gets a key of the type that its template demands, and keeps to it', async () => {
    const demanding = async (request: IssueRequest) => {
      if (parseCsr(request.csr).keyType !== 'ec-p384')
        throw new IdentityError('key_type_required', 'p384', { facts: { keyType: 'ec-p384' } })
      return sign(request)
    }
    issue = demanding
    await add()
    expect(keyTypeOf(parseCertificate(delivery.written[0]?.svid.chain[0] ?? Buffer.alloc(0)).spki)).toBe('ec-p384')
    expect(requests).toHaveLength(2)
    await workloads.renew('v1', 'routine', forever)
    expect(requests).toHaveLength(3)
  })
})

describe('what the broker answers is looked at', () => {
  test('another key than ours is refused', async () => {
    issue = async (request) => ({ ...(await sign(request)), chain: (await svidFor(authorities, 'cart')).chain })
    await expect(add()).rejects.toMatchObject({ code: 'certificate_invalid' })
  })

  test('another name than the certificate has is refused', async () => {
    issue = async (request) => ({ ...(await sign(request)), spiffeId: 'spiffe://test.example/ns/shop/sa/other' })
    await expect(add()).rejects.toMatchObject({ code: 'certificate_invalid' })
  })

  test('a chain that does not lead to the bundle that readers have is never delivered; it is asked for again', async () => {
    const before = bundles()
    await add()
    await authorities.prepare()
    authorities.activate()
    await expect(workloads.renew('v1', 'routine', forever)).rejects.toMatchObject({ code: 'authority_unavailable' })
    expect(delivery.written).toHaveLength(1)
    await workloads.enforce({ own: authorities.bundle, federated: before.federated }, forever)
    expect(await workloads.renew('v1', 'routine', forever)).toBe('renewed')
  })

  test('a hint that could not be read again after a restart is refused', async () => {
    issue = async (request) => ({ ...(await sign(request)), hint: 'ü'.repeat(513) })
    await expect(add()).rejects.toMatchObject({ code: 'certificate_invalid' })
    issue = async (request) => ({ ...(await sign(request)), hint: 'ü'.repeat(512) })
    await add()
  })

  test('an ID of broker or agents is refused', async () => {
    issue = async ({ csr }) => {
      const id = SpiffeId.of(authorities.trustDomain, 'countersign', 'broker')
      const { der, notAfter } = authorities.sign(id, parseCsr(csr).spki, HOUR)
      return { spiffeId: id.toString(), chain: [der], notAfter, lifetimeMs: HOUR, hint: '' }
    }
    await expect(add()).rejects.toMatchObject({ code: 'spiffe_id_reserved' })
  })
})

describe('a workload of the agent before', () => {
  beforeEach(async () => {
    delivery.found = await svidFor(authorities, 'cart')
    await workloads.recover({ id: 'v1', pod, delivery })
  })

  test('is served at once with what its files hold, without a token', () => {
    expect(delivery.calls).toEqual(['listen'])
    expect(workloads.identityOf('v1')?.value?.svid).toBe(delivery.found)
    expect(workloads.serialNumbers()).toEqual([delivery.found?.serialNumber])
    expect(held.has('v1')).toBe(true)
  })

  test('is renewed once a token comes, and not before', async () => {
    expect(await workloads.renew('v1', 'routine', forever)).toBe('noToken')
    workloads.refreshToken('v1', TOKEN)
    expect(tokens).toEqual(['v1'])
    expect(await workloads.renew('v1', 'routine', forever)).toBe('renewed')
    expect(delivery.calls).toEqual(['listen', 'write'])
  })

  test('is asked for as the pod that came with the token, where the pod was not known before', async () => {
    delivery.found = await svidFor(authorities, 'cart')
    await workloads.recover({ id: 'v2', pod: { ...pod, podUid: '' }, delivery })
    workloads.refreshToken('v2', TOKEN, pod)
    await workloads.renew('v2', 'routine', forever)
    expect(requests.at(-1)?.pod).toEqual(pod)
  })

  test('has its files written anew with the first bundle, for nobody knows which they hold', async () => {
    await workloads.enforce(bundles(), forever)
    expect(delivery.written).toHaveLength(1)
    await workloads.enforce(bundles(), forever)
    expect(delivery.written).toHaveLength(1)
  })
})

test('a workload whose socket cannot be had is forgotten, so that the next recovery makes it', async () => {
  delivery.found = await svidFor(authorities, 'cart')
  delivery.beforeListen = () => Promise.reject(new IdentityError('volume_tampered', 'socket is not our socket'))
  await expect(workloads.recover({ id: 'v1', pod, delivery })).rejects.toMatchObject({ code: 'volume_tampered' })
  expect([workloads.has('v1'), held.has('v1')]).toEqual([false, false])
  delivery.beforeListen = async () => {}
  await workloads.recover({ id: 'v1', pod, delivery })
  expect(delivery.calls).toEqual(['close', 'listen'])
  expect(workloads.identityOf('v1')?.value).toBeDefined()
})

test('files that are gone or damaged: the socket is there, the identity Unavailable until a token comes', async () => {
  await workloads.recover({ id: 'v1', pod, delivery })
  expect(workloads.identityOf('v1')?.end).toMatchObject({ code: 'broker_unavailable' })
  workloads.refreshToken('v1', TOKEN)
  await workloads.renew('v1', 'nearExpiry', forever)
  expect(workloads.identityOf('v1')?.value).toBeDefined()
})

describe('bundles', () => {
  test('are enforced once all files are written and all streams have passed them on', async () => {
    await add()
    const stream = workloads.identityOf('v1')?.follow(forever)
    await stream?.next()
    await authorities.prepare()
    let isEnforced = false
    const enforced = workloads.enforce(bundles(), forever).then(() => (isEnforced = true))
    const { value } = (await stream?.next()) ?? {}
    expect(value?.bundles.own.authorities).toHaveLength(2)
    expect(isEnforced).toBe(false)
    void stream?.next()
    await enforced
    expect(delivery.written.at(-1)?.bundles.own.authorities).toHaveLength(2)
    expect(delivery.written.at(-1)?.svid.serialNumber).toBe(delivery.written[0]?.svid.serialNumber)
  })

  test('that cannot be written are not enforced, until they can or the pod is gone', async () => {
    await add()
    await authorities.prepare()
    let failures = 2
    delivery.beforeWrite = async () => {
      if (failures-- > 0) throw new Error('no room')
    }
    let isEnforced = false
    const enforced = workloads.enforce(bundles(), forever).then(() => (isEnforced = true))
    await new Promise((resume) => setImmediate(resume))
    expect(isEnforced).toBe(false)
    while (!isEnforced) {
      await clock.advance(1_000)
      await new Promise((resume) => setImmediate(resume))
    }
    await enforced
    expect(delivery.written).toHaveLength(2)
  })

  test('of the same content write nothing', async () => {
    await add()
    const { authorities: same } = authorities.bundle
    await workloads.enforce(
      { own: x509Bundle(authorities.trustDomain, same, { sequence: 99n }), federated: [] },
      forever,
    )
    expect(delivery.written).toHaveLength(1)
  })

  test('that an SVID no longer leads to have it renewed at once', async () => {
    await add()
    await authorities.prepare()
    authorities.activate()
    authorities.retire()
    await workloads.enforce(bundles(), forever)
    expect(hastened).toEqual(['v1'])
  })

  test('that come while an SVID is written are in what is written next', async () => {
    await add()
    const gate = Promise.withResolvers<void>()
    delivery.beforeWrite = () => gate.promise
    const renewal = workloads.renew('v1', 'routine', forever)
    await authorities.prepare()
    const enforced = workloads.enforce(bundles(), forever)
    gate.resolve()
    await Promise.all([renewal, enforced])
    expect(delivery.written.at(-1)?.bundles.own.authorities).toHaveLength(2)
  })
})

test('an order renews what the authority signed, and is carried out when nothing of it is left', async () => {
  await add()
  const before = authorities.activeKeyId
  let isDone = false
  const done = workloads.renewSignedBy(new Set([before]), forever).then(() => (isDone = true))
  expect(hastened).toEqual(['v1'])
  await clock.advance(1_000)
  expect(isDone).toBe(false)
  await authorities.prepare()
  authorities.activate()
  await workloads.enforce(bundles(), forever)
  await workloads.renew('v1', 'routine', forever)
  await clock.advance(1_000)
  await done
})

describe('the end of an SVID', () => {
  test('ends its streams with identity_expired, and a renewal takes them up again', async () => {
    await add()
    issue = away
    await expect(workloads.renew('v1', 'nearExpiry', forever)).rejects.toMatchObject({ code: 'broker_unavailable' })
    workloads.expired('v1')
    expect(workloads.identityOf('v1')?.end).toMatchObject({ code: 'identity_expired' })
    issue = sign
    await workloads.renew('v1', 'nearExpiry', forever)
    expect(workloads.identityOf('v1')?.end).toBeUndefined()
  })

  test('says so if the workload has lost its right to one', async () => {
    await add()
    issue = () => Promise.reject(new IdentityError('template_not_matched', 'no template'))
    await expect(workloads.renew('v1', 'routine', forever)).rejects.toMatchObject({ code: 'template_not_matched' })
    expect(workloads.identityOf('v1')?.end).toBeUndefined()
    workloads.expired('v1')
    expect(workloads.identityOf('v1')?.end).toMatchObject({ code: 'template_not_matched' })
  })

  test('AW-15: comes at once for an identity that is denied; a later bundle does not bring it back', async () => {
    await add()
    issue = () => Promise.reject(new IdentityError('identity_denied', 'revoked'))
    await expect(workloads.renew('v1', 'routine', forever)).rejects.toMatchObject({ code: 'identity_denied' })
    await authorities.prepare()
    await workloads.enforce(bundles(), forever)
    expect(workloads.identityOf('v1')?.end).toMatchObject({ code: 'identity_denied' })
  })
})

test('a pod that is gone: streams end, files go, the broker is told', async () => {
  await add()
  const identity = workloads.identityOf('v1')
  const serial = delivery.written[0]?.svid.serialNumber
  await workloads.remove('v1')
  expect(identity?.end).toMatchObject({ code: 'workload_unknown' })
  expect(delivery.calls).toEqual(['write', 'listen', 'remove'])
  expect(ended).toEqual([serial])
  expect([workloads.has('v1'), held.has('v1')]).toEqual([false, false])
  await workloads.remove('v1')
})

test('invariant 7: when the agent stops, streams end with shutting_down, files stay, nobody new is taken', async () => {
  await add()
  const identity = workloads.identityOf('v1')
  await workloads.close()
  expect(identity?.end).toMatchObject({ code: 'shutting_down' })
  expect(delivery.calls).toEqual(['write', 'listen', 'close'])
  await expect(add({ id: 'v2' })).rejects.toMatchObject({ code: 'shutting_down' })
})

test('a token for nobody is no error', () => {
  expect(() => workloads.refreshToken('nobody', TOKEN)).not.toThrow()
})
