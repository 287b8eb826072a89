import { existsSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { bundleFromDer } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { splitDerCertificates } from '../../core/spiffe/bundle.ts'
import type { X509SVIDResponse } from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import { checkPair, readPair } from './file-reader.ts'
import { startFake, startReal, type TestBroker } from './test-broker.ts'
import { TestNode, TRUST_DOMAIN } from './test-node.ts'
import { WorkloadClient } from './workload-client.ts'

const BROKERS: { name: string; start: (node: TestNode, ttlMs: number) => Promise<TestBroker> }[] = [
  { name: 'the broker', start: startReal },
  { name: 'the fake broker', start: startFake },
]
const HOUR_MS = 3_600_000

const eventually = <T>(look: () => T | Promise<T>) => vi.waitFor(look, { timeout: 20_000, interval: 20 })

/** The leaf of a message, after everything about it was checked. */
function leafOf({ svids: [svid] }: X509SVIDResponse) {
  if (!svid) throw new Error('an empty message')
  const { authorities } = bundleFromDer(TrustDomain.parse(TRUST_DOMAIN), svid.bundle)
  return checkPair(svid.x509SvidKey, splitDerCertificates(svid.x509Svid), authorities)
}

/** The socket comes last, after the files. */
async function clientOf(node: TestNode, name: string): Promise<WorkloadClient> {
  await eventually(() => expect(existsSync(node.socketOf(name))).toBe(true))
  return new WorkloadClient(node.socketOf(name))
}

describe.for(BROKERS)('with $name', { concurrent: true }, ({ start }) => {
  test('an identity appears in files and on the socket, and goes with its workload', async () => {
    await using node = await TestNode.create()
    const broker = await start(node, HOUR_MS)
    await node.declare('cart')
    const agent = await node.startAgent(broker.address, broker.bundleFile)
    const leaf = await eventually(() => readPair(node.path('output', 'cart')))
    expect(leaf.uris).toEqual([`spiffe://${TRUST_DOMAIN}/ns/shop/sa/cart`])
    await eventually(() => expect(agent.notReady()).toEqual([]))

    const client = await clientOf(node, 'cart')
    expect(leafOf(await client.first()).serialNumber).toBe(leaf.serialNumber)
    const { ended } = await client.watch()
    await node.undeclare('cart')
    expect(await ended).toMatchObject({ code: 'workload_unknown' })
    await eventually(() => expect(existsSync(node.path('output', 'cart'))).toBe(false))
    client.close()
    await broker.stop()
  })

  test('what is short-lived is renewed in time, again and again; no reader sees a pair that is invalid', async () => {
    await using node = await TestNode.create()
    const broker = await start(node, 3_000)
    await node.declare('cart')
    await node.startAgent(broker.address, broker.bundleFile)
    await eventually(() => readPair(node.path('output', 'cart')))
    const client = await clientOf(node, 'cart')
    const stop = new AbortController()
    const serials = new Set<string>()
    const reading = (async () => {
      for await (const response of client.fetch(stop.signal)) serials.add(leafOf(response).serialNumber)
    })().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error
    })
    const inFiles = new Set<string>()
    while (serials.size < 4) {
      inFiles.add((await readPair(node.path('output', 'cart'))).serialNumber)
      await systemClock.sleep(5)
    }
    stop.abort()
    await reading
    expect(inFiles.size).toBeGreaterThanOrEqual(3)
    client.close()
    await broker.stop()
  })

  test('a new workload is held while the broker is away, and served the moment it is back; others live on', async () => {
    await using node = await TestNode.create()
    const broker = await start(node, 6_000)
    await node.declare('cart')
    const agent = await node.startAgent(broker.address, broker.bundleFile)
    const before = await eventually(() => readPair(node.path('output', 'cart')))
    await broker.stop()
    await eventually(() => expect(agent.notReady().join()).toContain('no connection to the broker'))
    await node.declare('payments')
    // Longer than half of a life: a renewal was due and failed.
    await systemClock.sleep(3_300)
    expect((await readPair(node.path('output', 'cart'))).serialNumber).toBe(before.serialNumber)
    expect(existsSync(node.path('output', 'payments', 'tls.crt'))).toBe(false)
    await broker.restart()
    await eventually(() => readPair(node.path('output', 'payments')))
    await eventually(async () =>
      expect((await readPair(node.path('output', 'cart'))).serialNumber).not.toBe(before.serialNumber),
    )
    await broker.stop()
  })

  test('an agent that comes back serves what it finds, with no broker at all', async () => {
    await using node = await TestNode.create()
    const broker = await start(node, HOUR_MS)
    await node.declare('cart')
    await node.startAgent(broker.address, broker.bundleFile)
    const before = await eventually(() => readPair(node.path('output', 'cart')))
    const client = await clientOf(node, 'cart')
    const { ended } = await client.watch()
    await broker.stop()
    await node.stopAgent()
    expect(await ended, 'invariant 7: a stream that ends because we stop').toMatchObject({ code: 'shutting_down' })

    const agent = await node.startAgent(broker.address, broker.bundleFile)
    const again = await clientOf(node, 'cart')
    expect(leafOf(await again.first()).serialNumber).toBe(before.serialNumber)
    expect(agent.notReady().length).toBeGreaterThan(0)
    await broker.restart()
    await eventually(() => expect(agent.notReady()).toEqual([]))
    client.close()
    again.close()
    await broker.stop()
  })

  test('authorities rotate and agents follow: neither files nor streams ever hold what does not verify', async () => {
    await using node = await TestNode.create()
    // The broker itself rotates in half of an authority's life, which is that of two SVIDs.
    const broker = await start(node, 4_000)
    await node.declare('cart')
    await node.declare('payments')
    await node.startAgent(broker.address, broker.bundleFile)
    const before = await eventually(() => readPair(node.path('output', 'cart')))
    await eventually(() => readPair(node.path('output', 'payments')))
    const client = await clientOf(node, 'payments')
    const stop = new AbortController()
    const issuers = new Set<string>()
    const streaming = (async () => {
      for await (const response of client.fetch(stop.signal)) issuers.add(leafOf(response).issuer.toString('hex'))
    })().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error
    })
    let reads = 0
    const reading = (async () => {
      while (!stop.signal.aborted) {
        await readPair(node.path('output', 'cart'))
        reads += 1
        await systemClock.sleep(2)
      }
    })()
    await broker.rotate()
    await eventually(() => expect(issuers.size).toBeGreaterThanOrEqual(2))
    await eventually(async () =>
      expect((await readPair(node.path('output', 'cart'))).issuer.equals(before.issuer)).toBe(false),
    )
    stop.abort()
    await Promise.all([streaming, reading])
    expect(reads).toBeGreaterThan(5)
    client.close()
    await broker.stop()
  })
})
