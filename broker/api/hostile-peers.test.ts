import { once } from 'node:events'
import { connect as connectHttp2, type Settings } from 'node:http2'
import { connect, type TLSSocket } from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import type { Broker } from '../broker.ts'
import { attestedNode, connectTo, newCsr, pemOf, podFacts, tokenFor } from '../../test/fakes/node-client.ts'
import { runningBroker } from '../../test/fakes/running-broker.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function broker(change: Record<string, unknown> = {}) {
  const running = await runningBroker({ change })
  cleanups.push(() => running.stop())
  return running
}

/** A connection that has done its handshake. */
async function fresh({ port }: Broker, options: { cert?: string; key?: string } = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'], ...options })
  cleanups.push(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

/** The same, and it says nothing. */
const idle = async (running: Broker, options?: { cert?: string; key?: string }): Promise<TLSSocket> =>
  (await fresh(running, options)).resume()

test("however many connections a node has left behind, its agent's next one is served", async () => {
  const running = await broker()
  const { identity, close } = await attestedNode(running, running.folder)
  close()
  const left: TLSSocket[] = []
  for (let count = 0; count < 8; count += 1) left.push(await idle(running, pemOf(identity)))
  const again = connectTo(running, running.folder, identity)
  cleanups.push(() => again.close())
  await expect(again.service.issueX509Svids({ requests: [] }, { timeoutMs: 5000 })).rejects.toMatchObject({
    code: 'request_invalid',
  })
  await expect.poll(() => left.filter(({ destroyed }) => destroyed)).toEqual([left[0]])
})

test('connections without a certificate are limited, and an agent comes in all the same', async () => {
  const running = await broker({ listener: { maxConnections: 20, maxAnonymous: 4 } })
  const left: TLSSocket[] = []
  for (let count = 0; count < 20; count += 1) left.push(await idle(running))
  await expect.poll(() => left.filter(({ destroyed }) => !destroyed)).toEqual(left.slice(-4))
  const node = await attestedNode(running, running.folder)
  cleanups.push(() => node.close())
  await expect(node.service.issueX509Svids({ requests: [] }, { timeoutMs: 5000 })).rejects.toMatchObject({
    code: 'request_invalid',
  })
})

test('who has no certificate has few streams and small messages, whatever the method', async () => {
  const running = await broker()
  const limitsOf = async (socket: TLSSocket) => {
    const session = connectHttp2('https://broker', { createConnection: () => socket })
    cleanups.push(() => session.destroy())
    const [settings] = (await once(session, 'remoteSettings')) as [Settings]
    return settings.maxConcurrentStreams
  }
  const node = await attestedNode(running, running.folder)
  cleanups.push(() => node.close())
  expect(await limitsOf(await fresh(running))).toBe(2)
  // Each may hold an unfinished message of 1 MiB, on each of a node's 8 connections.
  expect(await limitsOf(await fresh(running, pemOf(node.identity)))).toBe(8)

  const stranger = connectTo(running, running.folder)
  cleanups.push(() => stranger.close())
  const large = { serviceAccountToken: 'a.b.c', csr: new Uint8Array(70 * 1024) }
  const refused = await stranger.service.attestNode(large, { timeoutMs: 5000 }).catch((error: unknown) => error)
  expect(String((refused as Error).cause)).toContain('larger than max')
  await expect(stranger.service.issueX509Svids({ requests: [] }, { timeoutMs: 5000 })).rejects.toMatchObject({
    code: 'agent_certificate_required',
  })
})

test('invariant 4: a node that has taken over a name is another node', async () => {
  const running = await broker()
  const node = await attestedNode(running, running.folder)
  cleanups.push(() => node.close())
  const { csr } = await newCsr()
  const ask = async (nodeUid: string) => {
    const { podUid, ...facts } = podFacts({ nodeUid })
    const request = { requestId: 'r', csr, podUid, serviceAccountToken: tokenFor(running.folder, { podUid, ...facts }) }
    const { results } = await node.service.issueX509Svids({ requests: [request] }, { timeoutMs: 5000 })
    return results[0]?.outcome
  }
  expect(await ask('node-uid-b')).toMatchObject({ case: 'refusal', value: { code: 'node_mismatch' } })
  expect(await ask('node-uid-a')).toMatchObject({ case: 'svid' })
})
