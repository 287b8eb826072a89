import { beforeEach, describe, expect, test, vi } from 'vitest'
import { parseCsr } from '../../core/pki/csr.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { FakeDelivery } from '../../test/fakes/fake-delivery.ts'
import type { Lifetime } from './ports.ts'
import type { IssuedSvid, IssueRequest } from './svid-issuing.ts'
import { Workloads } from './workloads.ts'

const HOUR = 3_600_000
const pod = { podUid: 'uid-1', podName: 'cart-0', namespace: 'shop', serviceAccount: 'cart' }
const forever = new AbortController().signal
const random = { bytes: (count: number) => new Uint8Array(count), fraction: () => 0 }

let clock: FakeClock
let authorities: FakeBrokerAuthorities
let delivery: FakeDelivery
let workloads: Workloads
let issued: string[]
let ended: string[]
/** What renewals were told, in order. */
let schedule: string[]
let lifetimes: Lifetime[]

async function sign({ csr, pod: { namespace, serviceAccount } }: IssueRequest): Promise<IssuedSvid> {
  const id = SpiffeId.of(authorities.trustDomain, 'ns', namespace, 'sa', serviceAccount)
  const { der, notAfter, serialNumber } = authorities.sign(id, parseCsr(csr).spki, HOUR)
  issued.push(serialNumber)
  return { spiffeId: id.toString(), chain: [der], notAfter, lifetimeMs: HOUR, hint: '' }
}

beforeEach(async () => {
  clock = new FakeClock()
  authorities = await FakeBrokerAuthorities.create(TrustDomain.parse('test.example'), clock)
  delivery = new FakeDelivery()
  issued = []
  ended = []
  schedule = []
  lifetimes = []
  workloads = new Workloads(bundles(), {
    broker: {
      issue: sign,
      returned: () => new Promise(() => {}),
      now: () => clock.now(),
      ended: (serials) => ended.push(...serials),
    },
    renewals: {
      held: (id, lifetime) => {
        schedule.push(`held ${id}`)
        lifetimes.push(lifetime)
      },
      tokenCame: () => {},
      hasten: (ids) => schedule.push(...Array.from(ids, (id) => `hasten ${id}`)),
      forget: () => {},
    },
    endpoint: { accept: () => {}, release: async () => {}, stop: async () => {} },
    clock,
    random,
  })
})

const bundles = () => ({ own: authorities.bundle, federated: [] })
const add = () => workloads.add({ id: 'v1', pod, token: 'a.token.of-kubelet', delivery })
const renew = () => workloads.renew('v1', 'routine', forever)
const full = () => Promise.reject(new IdentityError('volume_full', 'the volume is full'))

/** Holds the next writes back; `reached` resolves once one waits. */
function gate() {
  const reached = Promise.withResolvers<void>()
  const open = Promise.withResolvers<void>()
  delivery.beforeWrite = () => {
    reached.resolve()
    return open.promise
  }
  return { reached: reached.promise, open: () => open.resolve() }
}

/** Another authority takes the place of the one there was, which is trusted no longer. */
async function replaceAuthority(): Promise<void> {
  await authorities.prepare()
  authorities.activate()
  authorities.retire()
}

describe('an authority that is withdrawn while its SVID is on its way', () => {
  test('before it is written: it is never delivered, and asked for again', async () => {
    await add()
    const { reached, open } = gate()
    await authorities.prepare()
    const first = workloads.enforce(bundles(), forever)
    await reached
    const renewal = renew()
    await vi.waitFor(() => expect(issued).toHaveLength(2))
    authorities.activate()
    authorities.retire()
    const second = workloads.enforce(bundles(), forever)
    open()
    await expect(renewal).rejects.toMatchObject({ code: 'authority_unavailable' })
    await Promise.all([first, second])
    expect(delivery.written.map(({ svid }) => svid.serialNumber)).not.toContain(issued[1])
    expect(await renew()).toBe('renewed')
    expect(issued).toHaveLength(3)
  })

  test('while it is written, for the first time: it is renewed at once', async () => {
    const { reached, open } = gate()
    const added = add()
    await reached
    await replaceAuthority()
    const enforced = workloads.enforce(bundles(), forever)
    open()
    await Promise.all([added, enforced])
    expect(schedule).toEqual(['held v1', 'hasten v1'])
  })

  test('while it is written, as a renewal: its schedule does not take the place of the haste', async () => {
    await add()
    const { reached, open } = gate()
    const renewal = renew()
    await reached
    await replaceAuthority()
    const enforced = workloads.enforce(bundles(), forever)
    open()
    await Promise.all([renewal, enforced])
    expect(schedule.slice(-2)).toEqual(['held v1', 'hasten v1'])
  })
})

describe('an order to renew', () => {
  test('is carried out only once what is on its way has come, and been renewed', async () => {
    const tainted = authorities.activeKeyId
    const { reached, open } = gate()
    const added = add()
    await reached
    await authorities.prepare()
    let isDone = false
    const done = workloads.renewSignedBy(new Set([tainted]), forever).then(() => (isDone = true))
    await clock.advance(1_000)
    expect(isDone).toBe(false)
    const enforced = workloads.enforce(bundles(), forever)
    open()
    await enforced
    await added
    expect(schedule).toContain('hasten v1')
    await clock.advance(1_000)
    expect(isDone).toBe(false)
    authorities.activate()
    await renew()
    await clock.advance(1_000)
    await done
  })

  test('counts for what comes after it, too: another replica may not know of it yet', async () => {
    await workloads.renewSignedBy(new Set([authorities.activeKeyId]), forever)
    await add()
    expect(schedule).toEqual(['held v1', 'hasten v1'])
  })
})

describe('an SVID that cannot be written', () => {
  test('is written later, without asking the broker for another; it is held all the while', async () => {
    await add()
    delivery.beforeWrite = full
    for (let attempt = 0; attempt < 5; attempt += 1)
      await expect(renew()).rejects.toMatchObject({ code: 'volume_full' })
    expect(issued).toHaveLength(2)
    expect(workloads.serialNumbers()).toEqual(issued)
    await clock.advance(60_000)
    delivery.beforeWrite = async () => {}
    expect(await renew()).toBe('renewed')
    expect(workloads.serialNumbers()).toEqual([issued[1]])
    expect(delivery.written.at(-1)?.svid.serialNumber).toBe(issued[1])
    expect(lifetimes.at(-1)?.receivedAtMs, 'its life counts from when it came').toBe(clock.monotonicMs() - 60_000)
  })

  test('is not kept for long: the broker has to say now and then that it is still due', async () => {
    await add()
    delivery.beforeWrite = full
    await expect(renew()).rejects.toMatchObject({ code: 'volume_full' })
    await clock.advance(300_000)
    await expect(renew()).rejects.toMatchObject({ code: 'volume_full' })
    expect(issued).toHaveLength(3)
  })

  test('is not kept once its authority is tainted', async () => {
    await add()
    delivery.beforeWrite = full
    await expect(renew()).rejects.toMatchObject({ code: 'volume_full' })
    void workloads.renewSignedBy(new Set([authorities.activeKeyId]), forever)
    await expect(renew()).rejects.toMatchObject({ code: 'volume_full' })
    expect(issued).toHaveLength(3)
  })

  test('is told of when its pod is gone', async () => {
    await add()
    delivery.beforeWrite = full
    await expect(renew()).rejects.toMatchObject({ code: 'volume_full' })
    await workloads.remove('v1')
    expect(ended).toEqual(issued)
  })
})
