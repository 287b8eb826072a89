import { createServer, type Server } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { afterEach, expect, test, vi } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeAdmin, type FakeAdminOptions } from '../../test/fakes/fake-admin.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { type AdminChannel, openAdminChannel } from './admin-channel.ts'

const trustDomain = TrustDomain.parse('prod.example')
const authorities = await FakeBrokerAuthorities.create(trustDomain, systemClock)
const foreigners = await FakeBrokerAuthorities.create(TrustDomain.parse('other.example'), systemClock)
const strangers = await FakeBrokerAuthorities.create(trustDomain, systemClock)
const answers: FakeAdminOptions['answers'] = {
  getStatus: async () => ({ trustDomain: 'prod.example', version: '0.1.0' }),
  listAgents: async () => {
    throw new IdentityError('admin_permission_denied', 'list nodeagents (countersign.dev) is missing')
  },
}

const ended: (() => void)[] = []
afterEach(() => {
  for (const end of ended.splice(0)) end()
})

async function admin(options: Partial<FakeAdminOptions> = {}): Promise<FakeAdmin> {
  const fake = await FakeAdmin.start({ authorities, answers, ...options })
  ended.push(() => fake.stop())
  return fake
}

function open(
  address: string,
  change: { token?: string; timeoutMs?: number; pathFailure?: () => unknown } = {},
): AdminChannel {
  const channel = openAdminChannel({
    address,
    bundle: authorities.bundle,
    saidBy: 'as the trust bundle says',
    token: 'good',
    clock: systemClock,
    timeoutMs: 5_000,
    ...change,
  })
  ended.push(() => channel.close())
  return channel
}

const status = (channel: AdminChannel) => channel.ask((service, options) => service.getStatus({}, options))

test('the broker of the bundle is asked, with the token', async () => {
  const fake = await admin()
  await expect(status(open(fake.address))).resolves.toMatchObject({ trustDomain: 'prod.example' })
  expect(fake.authorizations).toEqual(['Bearer good'])
})

test('a refusal keeps its code and its words', async () => {
  const fake = await admin()
  const channel = open(fake.address)
  await expect(channel.ask((service, options) => service.listAgents({}, options))).rejects.toMatchObject({
    code: 'admin_permission_denied',
    message: 'list nodeagents (countersign.dev) is missing',
  })
  await expect(status(open(fake.address, { token: 'other' }))).rejects.toMatchObject({ code: 'token_rejected' })
})

const impostors: [who: string, options: Partial<FakeAdminOptions>, says: RegExp][] = [
  ['another authority', { authorities: strangers }, /does not lead to an authority/],
  [
    'another trust domain',
    { authorities: foreigners },
    /of the trust domain other\.example, and not of prod\.example \(as the trust bundle says\)/,
  ],
  [
    'an agent',
    { ownPath: ['countersign', 'agent', 'node-a'] },
    /spiffe:\/\/prod\.example\/countersign\/agent\/node-a, not the broker/,
  ],
  ['a workload', { ownPath: ['ns', 'countersign-system', 'sa', 'countersign-broker'] }, /not the broker/],
]

test.for(impostors)('%s gets neither token nor question', async ([, options, says]) => {
  const fake = await admin(options)
  await expect(status(open(fake.address))).rejects.toMatchObject({
    code: 'chain_untrusted',
    message: expect.stringMatching(says) as string,
  })
  expect(fake.authorizations).toEqual([])
  await vi.waitFor(() => expect(fake.bytesRead).toBe(0))
})

test('nobody at the address: what leads there says why, if it knows', async () => {
  const fake = await admin()
  const { address } = fake
  fake.stop()
  await expect(status(open(address))).rejects.toMatchObject({
    code: 'broker_unavailable',
    message: expect.stringMatching(/cannot be asked: connect ECONNREFUSED \S+$/) as string,
  })
  const forbidden = new IdentityError('kubernetes_forbidden', 'you may not forward ports')
  await expect(status(open(address, { pathFailure: () => forbidden }))).rejects.toBe(forbidden)
})

test('somebody who says nothing has the time of a request', async () => {
  const silent: Server = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  ended.push(() => silent.close())
  const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`
  await expect(status(open(address, { timeoutMs: 300 }))).rejects.toMatchObject({ code: 'deadline_exceeded' })
})
