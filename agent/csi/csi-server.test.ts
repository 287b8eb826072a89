import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import type { Server } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Client, credentials, status } from '@grpc/grpc-js'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLog } from '../../core/runtime/log.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { serviceClient } from '../../proto/grpc-client.ts'
import type { EndedCall } from '../../proto/grpc-server.ts'
import { Identity, Node } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import { Registration } from '../../proto/gen/third_party/pluginregistration/api_pb.ts'
import { someDelivered } from '../../test/fakes/delivered.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { FakeMounter } from '../../test/fakes/fake-mounter.ts'
import { FakeWorkloads } from '../../test/fakes/fake-workloads.ts'
import { AUDIENCE, publishRequest, VOLUME_ID } from '../../test/fakes/publish-requests.ts'
import { type CsiDriver, type CsiDriverOptions, startCsiDriver } from './csi-driver.ts'

let root: string
let driver: CsiDriver
let workloads: FakeWorkloads
let client: Client
const ended: EndedCall[] = []
const clock = new FakeClock()
const mounter = new FakeMounter()
const options = (): CsiDriverOptions => ({
  pluginsRegistry: join(root, 'registry'),
  kubeletDirectory: `${root}/`,
  stateDirectory: join(root, 'state'),
  audience: AUDIENCE,
  nodeName: 'node-a',
  version: '1.2.3',
})
const start = () =>
  startCsiDriver(options(), {
    workloads,
    clock,
    log: createLog('agent', 'silent'),
    ended: (call) => ended.push(call),
    mounter,
  })
const socket = () => join(root, 'registry', 'csi.countersign.dev-reg.sock')
/** When the socket was made. */
const made = async () => (await lstat(socket(), { bigint: true }).catch(() => undefined))?.ctimeNs
const now = () => systemClock.now().getTime()
const waiting = { timeoutMs: 10_000 }
const LOOK_MS = 5_000

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'csi-server-'))
  await mkdir(join(root, 'registry'))
  const delivered = await someDelivered()
  workloads = new FakeWorkloads(() => Promise.resolve(delivered))
  driver = await start()
  client = new Client(`unix:${socket()}`, credentials.createInsecure())
  ended.length = 0
})
afterEach(async () => {
  client.close()
  await driver.close()
  await workloads.close()
  await rm(root, { recursive: true })
})

test('one socket, for root alone, serves registration, identity and node', async () => {
  expect((await lstat(socket())).mode & 0o777).toBe(0o600)
  expect(await readdir(join(root, 'registry'))).toEqual(['csi.countersign.dev-reg.sock'])
  expect(await serviceClient(Registration, client, now).getInfo({}, waiting)).toMatchObject({
    type: 'CSIPlugin',
    name: 'csi.countersign.dev',
    endpoint: '',
    supportedVersions: ['1.0.0'],
  })
  const identity = serviceClient(Identity, client, now)
  expect(await identity.getPluginInfo({}, waiting)).toMatchObject({ vendorVersion: '1.2.3' })
  expect(await identity.probe({}, waiting)).toMatchObject({ ready: true })
  expect(await identity.getPluginCapabilities({}, waiting)).toBeDefined()
  const node = serviceClient(Node, client, now)
  expect(await node.nodeGetInfo({}, waiting)).toMatchObject({ nodeId: 'node-a' })
  expect((await node.nodeGetCapabilities({}, waiting)).capabilities).toMatchObject([{ type: { value: { type: 6 } } }])
})

test('publish and unpublish over the wire', async () => {
  const request = publishRequest(root)
  await mkdir(dirname(request.targetPath), { recursive: true })
  const node = serviceClient(Node, client, now)
  await node.nodePublishVolume(request, waiting)
  expect(await readFile(join(request.targetPath, 'tls.crt'), 'utf8')).toContain('CERTIFICATE')
  await node.nodeUnpublishVolume({ volumeId: VOLUME_ID, targetPath: request.targetPath }, waiting)
  expect(await readdir(dirname(request.targetPath))).toEqual([])
  expect(ended).toMatchObject([
    { path: '/csi.v1.Node/NodePublishVolume', peer: 'kubelet', code: 'ok' },
    { path: '/csi.v1.Node/NodeUnpublishVolume', peer: 'kubelet', code: 'ok' },
  ])
})

test('a refusal travels with its code, and a broker that is away as one that kubelet tries again', async () => {
  const node = serviceClient(Node, client, now)
  await expect(node.nodePublishVolume(publishRequest(root, { readonly: false }), waiting)).rejects.toMatchObject({
    code: 'volume_not_read_only',
    cause: { code: status.INVALID_ARGUMENT },
  })
})

test('a connection that cannot be accepted does not end the agent', async () => {
  const servers: Server[] = []
  const accepted = (message: unknown) => servers.push((message as { socket: { server: Server } }).socket.server)
  subscribe('net.server.socket', accepted)
  await serviceClient(Registration, client, now).getInfo({}, waiting)
  unsubscribe('net.server.socket', accepted)
  const tooMany = Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' })
  expect(servers).not.toEqual([])
  expect(() => servers.forEach((server) => server.emit('error', tooMany))).not.toThrow()
})

test('kubelet knows the driver once it has said so, and no longer once it refuses it', async () => {
  const registration = serviceClient(Registration, client, now)
  // kubelet asks first and decides then; an agent that ends in between is forgotten.
  await registration.getInfo({}, waiting)
  expect(driver.isRegistered()).toBe(false)
  await registration.notifyRegistrationStatus({ pluginRegistered: true, error: '' }, waiting)
  expect(driver.isRegistered()).toBe(true)
  // A kubelet that has restarted.
  await registration.getInfo({}, waiting)
  expect(driver.isRegistered()).toBe(false)
  await registration.notifyRegistrationStatus({ pluginRegistered: true, error: '' }, waiting)
  await registration.notifyRegistrationStatus({ pluginRegistered: false, error: 'no' }, waiting)
  expect(driver.isRegistered()).toBe(false)
})

test('a driver that kubelet takes after all keeps its socket', async () => {
  const before = await made()
  const registration = serviceClient(Registration, client, now)
  await registration.notifyRegistrationStatus({ pluginRegistered: false, error: 'no' }, waiting)
  await registration.notifyRegistrationStatus({ pluginRegistered: true, error: '' }, waiting)
  await clock.advance(60_000)
  expect(await made()).toBe(before)
  expect(driver.isRegistered()).toBe(true)
})

test('a registration of which nothing more is heard is begun anew', async () => {
  const before = await made()
  const registration = serviceClient(Registration, client, now)
  await registration.getInfo({}, waiting)
  await clock.advance(170_000)
  expect(await made()).toBe(before)
  await clock.advance(10_000)
  await clock.advance(10_000)
  await expect.poll(async () => [undefined, before].includes(await made())).toBe(false)
})

test('one of which something is heard is not', async () => {
  const before = await made()
  const registration = serviceClient(Registration, client, now)
  await registration.getInfo({}, waiting)
  await registration.notifyRegistrationStatus({ pluginRegistered: true, error: '' }, waiting)
  await clock.advance(600_000)
  expect(await made()).toBe(before)
})

test('a driver that kubelet refuses makes its socket anew', async () => {
  const before = await made()
  const registration = serviceClient(Registration, client, now)
  await registration.notifyRegistrationStatus({ pluginRegistered: false, error: 'no' }, waiting)
  expect(await made()).toBe(before)
  await clock.advance(10_000)
  await expect.poll(async () => [undefined, before].includes(await made())).toBe(false)
})

test('where the socket cannot be made anew it is tried again, and several refusals are one', async () => {
  const registration = serviceClient(Registration, client, now)
  const refuse = () => registration.notifyRegistrationStatus({ pluginRegistered: false, error: 'no' }, waiting)
  await refuse()
  await refuse()
  const registry = join(root, 'registry')
  await rm(registry, { recursive: true })
  const waits: number[] = []
  const patience = clock.sleep.bind(clock)
  const sleep = vi.spyOn(clock, 'sleep').mockImplementation(async (milliseconds, signal) => {
    if (milliseconds === LOOK_MS) return patience(milliseconds, signal)
    waits.push(milliseconds)
    if (waits.length === 8) await mkdir(registry)
  })
  await clock.advance(10_000)
  await expect.poll(() => readdir(registry).catch(() => [])).toEqual(['csi.countersign.dev-reg.sock'])
  sleep.mockRestore()
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  const other = new Client(`unix:${socket()}`, credentials.createInsecure())
  await serviceClient(Registration, other, now).getInfo({}, waiting)
  other.close()
})

test('a socket that somebody has taken away is made anew, and until then kubelet knows no driver', async () => {
  await serviceClient(Registration, client, now).notifyRegistrationStatus(
    { pluginRegistered: true, error: '' },
    waiting,
  )
  await rm(socket())
  await vi.waitFor(async () => {
    await clock.advance(LOOK_MS)
    expect(driver.isRegistered()).toBe(false)
    expect(await made()).toBeDefined()
  })
  const other = new Client(`unix:${socket()}`, credentials.createInsecure())
  await serviceClient(Registration, other, now).getInfo({}, waiting)
  other.close()
})

test('the socket of an agent that has come meanwhile is left to it, and taken over once that is gone', async () => {
  await serviceClient(Registration, client, now).notifyRegistrationStatus(
    { pluginRegistered: true, error: '' },
    waiting,
  )
  const next = await start()
  const its = await made()
  await clock.advance(LOOK_MS)
  await vi.waitFor(() => expect(driver.isRegistered()).toBe(false))
  for (let looks = 0; looks < 3; looks += 1) await clock.advance(LOOK_MS)
  expect(await made()).toBe(its)
  await next.close()
  await vi.waitFor(async () => {
    await clock.advance(LOOK_MS)
    expect(await made()).toBeDefined()
  })
  const last = await start()
  const lasts = await made()
  await driver.close()
  expect(await made()).toBe(lasts)
  await last.close()
})

test('a driver that is stopped meanwhile makes no socket', async () => {
  const registration = serviceClient(Registration, client, now)
  await registration.notifyRegistrationStatus({ pluginRegistered: false, error: 'no' }, waiting)
  await driver.close()
  await clock.advance(60_000)
  expect(await readdir(join(root, 'registry'))).toEqual([])
})

test('the next driver takes the place of one that crashed, and its volumes', async () => {
  const request = publishRequest(root)
  await mkdir(dirname(request.targetPath), { recursive: true })
  await serviceClient(Node, client, now).nodePublishVolume(request, waiting)
  await workloads.close()
  const next = await start()
  // Nothing tells that kubelet still knows the volume.
  expect(next.recovered).toEqual({ recovered: 0, removed: 1, waiting: 0 })
  const other = new Client(`unix:${socket()}`, credentials.createInsecure())
  await serviceClient(Registration, other, now).getInfo({}, waiting)
  other.close()
  await next.close()
})

test('a path that is too long for a socket is refused instead of cut short', async () => {
  const pluginsRegistry = join(root, 'x'.repeat(100))
  await mkdir(pluginsRegistry)
  const dependencies = { workloads, clock, log: createLog('agent', 'silent'), mounter }
  await expect(startCsiDriver({ ...options(), pluginsRegistry }, dependencies)).rejects.toMatchObject({
    code: 'config_invalid',
  })
})
