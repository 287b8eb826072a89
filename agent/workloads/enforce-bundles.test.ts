import { beforeEach, expect, test, vi } from 'vitest'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { FakeDelivery } from '../../test/fakes/fake-delivery.ts'
import { svidFor } from '../../test/fakes/workload-identities.ts'
import { enforceEverywhere, holdsUp } from './enforce-bundles.ts'
import { HeldWorkload } from './held-workload.ts'
import type { Bundles } from './workload.ts'

const forever = new AbortController().signal
const random = { bytes: (count: number) => new Uint8Array(count), fraction: () => 0 }

let clock: FakeClock
let authorities: FakeBrokerAuthorities
let bundles: Bundles
let told: string[]

beforeEach(async () => {
  told = []
  clock = new FakeClock()
  authorities = await FakeBrokerAuthorities.create(TrustDomain.parse('test.example'), clock)
  bundles = { own: authorities.bundle, federated: [] }
})

/** A workload with an SVID in its volume. */
async function held(id: string) {
  const delivery = new FakeDelivery()
  const pod = { podUid: id, podName: id, namespace: 'shop', serviceAccount: id }
  const workload = new HeldWorkload({ id, pod, delivery })
  await workload.deliver(await svidFor(authorities, id), () => bundles)
  return { workload, delivery }
}

async function publishAnother(): Promise<void> {
  await authorities.prepare()
  bundles = { own: authorities.bundle, federated: [] }
}

const full = () => Promise.reject(new IdentityError('volume_full', 'the volume is full'))
const trusted = ({ written }: FakeDelivery) => written.at(-1)?.bundles.own.authorities.length
const turns = async () => {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resume) => setImmediate(resume))
}

const all = (count: number, name: string) => Promise.all(Array.from({ length: count }, (_, n) => held(`${name}${n}`)))

function enforce(workloads: readonly { readonly workload: HeldWorkload }[], signal = forever) {
  const state = { isOver: false }
  const over = enforceEverywhere(
    workloads.map(({ workload }) => workload),
    () => bundles,
    { clock, random, heldUp: ({ id }, error) => told.push(`${id}: ${codeOf(error)}`) },
    signal,
  ).then(() => (state.isOver = true))
  over.catch(() => {})
  return { state, over }
}

test('volumes that cannot be written hold up none of the others, and the whole until they can', async () => {
  const bad = await all(8, 'bad')
  const good = await held('good')
  for (const { delivery } of bad) delivery.beforeWrite = full
  await publishAnother()
  const { state, over } = enforce([...bad, good])
  await turns()
  expect(trusted(good.delivery)).toBe(2)
  await clock.advance(60_000)
  expect(state.isOver).toBe(false)
  for (const { delivery } of bad) delivery.beforeWrite = async () => {}
  await clock.advance(60_000)
  await over
  expect(bad.map(({ delivery }) => trusted(delivery))).toEqual(bad.map(() => 2))
})

test('a volume that holds up the whole is told of after a minute, which a newer bundle does not begin anew', async () => {
  const bad = await held('bad')
  bad.delivery.beforeWrite = full
  await publishAnother()
  const overtaken = new AbortController()
  const first = enforce([bad], overtaken.signal)
  await turns()
  for (let count = 0; count < 5; count += 1) await clock.advance(10_000)
  expect([told, holdsUp(bad.workload, clock)]).toEqual([[], false])
  overtaken.abort(new Error('a newer one has come'))
  await expect(first.over).rejects.toThrow('a newer one has come')
  const { over } = enforce([bad])
  await turns()
  for (let count = 0; count < 20; count += 1) await clock.advance(10_000)
  expect([told, holdsUp(bad.workload, clock)]).toEqual([['bad: volume_full'], true])
  bad.delivery.beforeWrite = async () => {}
  await clock.advance(30_000)
  await over
  expect(holdsUp(bad.workload, clock)).toBe(false)
})

test('a volume that its own workload keeps full waits for nobody, and its streams hear of the bundle', async () => {
  const pinned = await held('pinned')
  await publishAnother()
  pinned.delivery.beforeWrite = () => Promise.reject(new IdentityError('volume_pinned', 'files that are open fill it'))
  await enforce([pinned]).over
  expect(pinned.workload.identity.value?.bundles).toBe(bundles)
  expect(holdsUp(pinned.workload, clock)).toBe(false)
  // Nor is it written again for the same bundles; another SVID is, and fails.
  await enforce([pinned]).over
  await expect(pinned.workload.deliver(await svidFor(authorities, 'pinned'), () => bundles)).rejects.toMatchObject({
    code: 'volume_pinned',
  })
})

test('volumes whose turn does not come hold up none of the others either', async () => {
  const hanging = await all(8, 'hanging')
  const good = await held('good')
  for (const { delivery } of hanging) delivery.beforeWrite = () => new Promise(() => {})
  await publishAnother()
  const { state } = enforce([...hanging, good])
  await turns()
  await clock.advance(1_000)
  await turns()
  expect(trusted(good.delivery)).toBe(2)
  expect(state.isOver).toBe(false)
})

test('an abort ends it at once, with a volume that cannot be written and one that hangs', async () => {
  const [bad, hanging] = [await held('bad'), await held('hanging')]
  bad.delivery.beforeWrite = full
  hanging.delivery.beforeWrite = () => new Promise(() => {})
  await publishAnother()
  const overtaken = new AbortController()
  const { over } = enforce([bad, hanging], overtaken.signal)
  await turns()
  overtaken.abort(new Error('a newer one has come'))
  await expect(over).rejects.toThrow('a newer one has come')
})

test('a pod that goes is no longer waited for', async () => {
  const bad = await held('bad')
  bad.delivery.beforeWrite = full
  await publishAnother()
  const { over } = enforce([bad])
  await turns()
  bad.workload.removal.abort(new Error('gone'))
  await over
})

test('streams that take nothing hold up no file, and together no longer than one; they are cut off', async () => {
  const stalled = await all(16, 'stalled')
  const good = await held('good')
  const cutOff: string[] = []
  for (const { workload } of stalled) {
    const interrupt = (reason: Error) => void cutOff.push((reason as IdentityError).code)
    await workload.identity.follow(forever, interrupt).next()
  }
  await publishAnother()
  const { state, over } = enforce([...stalled, good])
  await turns()
  expect(trusted(good.delivery)).toBe(2)
  await clock.advance(9_999)
  await turns()
  expect([state.isOver, cutOff.length]).toEqual([false, 0])
  await clock.advance(1)
  await over
  expect(cutOff).toEqual(stalled.map(() => 'overloaded'))
})

test('a stream that has passed on is not cut off for a newer value that has only just come', async () => {
  const slow = await held('slow')
  const cutOff = vi.fn<(reason: Error) => void>()
  const stream = slow.workload.identity.follow(forever, cutOff)
  await stream.next()
  await publishAnother()
  const { over } = enforce([slow])
  await turns()
  await stream.next()
  await clock.advance(9_999)
  await slow.workload.deliver(await svidFor(authorities, 'slow'), () => bundles)
  void stream.next()
  await clock.advance(1)
  await over
  expect(cutOff).not.toHaveBeenCalled()
})
