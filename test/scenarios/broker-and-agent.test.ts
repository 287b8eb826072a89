import { existsSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { bundleFromDer } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { splitDerCertificates } from '../../core/spiffe/bundle.ts'
import type { X509SVIDResponse } from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import { checkPair, readPair } from './file-reader.ts'
import { startFake, startReal, type TestBroker } from './test-broker.ts'
import { TestNode, TRUST_DOMAIN } from './test-node.ts'
import { type Reader, whileReading } from './while-reading.ts'
import { WorkloadClient } from './workload-client.ts'

const BROKERS: { name: string; start: (node: TestNode, ttlMs: number) => Promise<TestBroker> }[] = [
  { name: 'the broker', start: startReal },
  { name: 'the fake broker', start: startFake },
]
const HOUR_MS = 3_600_000
const SHORT_MS = 24_000
/** A renewal is due by then, and has as long to be done: seconds, for a machine that has other things to do. */
const HALF_OF_SHORT_MS = SHORT_MS / 2

const eventually = <T>(look: () => T | Promise<T>) => vi.waitFor(look, { timeout: 30_000, interval: 20 })

/** The leaf in a workload's files, after everything about it was checked. */
const inFiles = (node: TestNode, name: string) => readPair(node.path('output', name), node.clock)

/** The leaf of a message, likewise. */
function leafOf({ svids: [svid] }: X509SVIDResponse, node: TestNode) {
  if (!svid) throw new Error('an empty message')
  const { authorities } = bundleFromDer(TrustDomain.parse(TRUST_DOMAIN), svid.bundle)
  return checkPair(svid.x509SvidKey, splitDerCertificates(svid.x509Svid), authorities, node.clock.now())
}

/** The socket comes last, after the files. */
async function clientOf(node: TestNode, name: string): Promise<WorkloadClient> {
  await eventually(() => expect(existsSync(node.socketOf(name))).toBe(true))
  return new WorkloadClient(node.socketOf(name))
}

describe.for(BROKERS)('with $name', { concurrent: true, timeout: 90_000 }, ({ start }) => {
  test('an identity appears in files and on the socket, and goes with its workload', async () => {
    await using node = await TestNode.create()
    await using broker = await start(node, HOUR_MS)
    await node.declare('cart')
    const agent = await node.startAgent(broker.address, broker.bundleFile)
    const leaf = await eventually(() => inFiles(node, 'cart'))
    expect(leaf.uris).toEqual([`spiffe://${TRUST_DOMAIN}/ns/shop/sa/cart`])
    await eventually(() => expect(agent.notReady()).toEqual([]))

    using client = await clientOf(node, 'cart')
    expect(leafOf(await client.first(), node).serialNumber).toBe(leaf.serialNumber)
    const { ended } = await client.watch()
    await node.undeclare('cart')
    expect(await ended).toMatchObject({ code: 'workload_unknown' })
    await eventually(() => expect(existsSync(node.path('output', 'cart'))).toBe(false))
  })

  test('what is short-lived is renewed in time, again and again; no reader sees a pair that is invalid', async () => {
    await using node = await TestNode.create()
    await using broker = await start(node, SHORT_MS)
    await node.declare('cart')
    await node.startAgent(broker.address, broker.bundleFile)
    using client = await clientOf(node, 'cart')
    const streamed = new Set<string>()
    const filed = new Set<string>()
    const stream: Reader = async (signal) => {
      for await (const response of client.fetch(signal)) streamed.add(leafOf(response, node).serialNumber)
    }
    const files: Reader = async (signal) => {
      for (; !signal.aborted; await node.clock.sleep(5)) filed.add((await inFiles(node, 'cart')).serialNumber)
    }
    await whileReading([stream, files], async () => {
      for (const count of [1, 2, 3, 4]) {
        if (count > 1) node.clock.moveForward(HALF_OF_SHORT_MS)
        await eventually(() => expect(Math.min(streamed.size, filed.size)).toBeGreaterThanOrEqual(count))
      }
    })
  })

  test('a new workload is held while the broker is away, and served the moment it is back; others live on', async () => {
    await using node = await TestNode.create()
    await using broker = await start(node, SHORT_MS)
    await node.declare('cart')
    const agent = await node.startAgent(broker.address, broker.bundleFile)
    const before = await eventually(() => inFiles(node, 'cart'))
    await broker.stop()
    await eventually(() => expect(agent.notReady().join()).toContain('no connection to the broker'))
    await node.declare('payments')
    // A renewal is due, and fails.
    node.clock.moveForward(HALF_OF_SHORT_MS)
    await node.clock.sleep(300)
    expect((await inFiles(node, 'cart')).serialNumber).toBe(before.serialNumber)
    expect(existsSync(node.path('output', 'payments', 'tls.crt'))).toBe(false)
    await broker.restart()
    await eventually(() => inFiles(node, 'payments'))
    await eventually(async () => expect((await inFiles(node, 'cart')).serialNumber).not.toBe(before.serialNumber))
  })

  test('an agent that comes back serves what it finds, with no broker at all', async () => {
    await using node = await TestNode.create()
    await using broker = await start(node, HOUR_MS)
    await node.declare('cart')
    await node.startAgent(broker.address, broker.bundleFile)
    const before = await eventually(() => inFiles(node, 'cart'))
    using client = await clientOf(node, 'cart')
    const { ended } = await client.watch()
    await broker.stop()
    await node.stopAgent()
    expect(await ended, 'invariant 7: a stream that ends because we stop').toMatchObject({ code: 'shutting_down' })

    const agent = await node.startAgent(broker.address, broker.bundleFile)
    using again = await clientOf(node, 'cart')
    expect(leafOf(await again.first(), node).serialNumber).toBe(before.serialNumber)
    expect(agent.notReady().length).toBeGreaterThan(0)
    await broker.restart()
    await eventually(() => expect(agent.notReady()).toEqual([]))
  })

  test('authorities rotate and agents follow: neither files nor streams ever hold what does not verify', async () => {
    await using node = await TestNode.create()
    await using broker = await start(node, SHORT_MS)
    await node.declare('cart')
    await node.declare('payments')
    await node.startAgent(broker.address, broker.bundleFile)
    const before = await eventually(() => inFiles(node, 'cart'))
    using client = await clientOf(node, 'payments')
    const streamed = new Set<string>()
    const issuers = new Set<string>()
    const stream: Reader = async (signal) => {
      for await (const response of client.fetch(signal)) {
        const { serialNumber, issuer } = leafOf(response, node)
        streamed.add(serialNumber)
        issuers.add(issuer.toString('hex'))
      }
    }
    let reads = 0
    const files: Reader = async (signal) => {
      for (; !signal.aborted; await node.clock.sleep(2)) {
        await inFiles(node, 'cart')
        reads += 1
      }
    }
    const nextRenewal = async () => {
      const { serialNumber } = await inFiles(node, 'cart')
      const { size } = streamed
      node.clock.moveForward(HALF_OF_SHORT_MS)
      await eventually(() => expect(streamed.size).toBeGreaterThan(size))
      await eventually(async () => expect((await inFiles(node, 'cart')).serialNumber).not.toBe(serialNumber))
    }
    await whileReading([stream, files], async () => {
      await eventually(() => expect(issuers.size).toBe(1))
      await broker.rotate(nextRenewal)
      await eventually(() => expect(issuers.size).toBeGreaterThanOrEqual(2))
      await eventually(async () => expect((await inFiles(node, 'cart')).issuer.equals(before.issuer)).toBe(false))
    })
    expect(reads).toBeGreaterThan(5)
  })
})
