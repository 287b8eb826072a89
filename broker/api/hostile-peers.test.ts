import { connect, type TLSSocket } from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import type { Broker } from '../broker.ts'
import { attestedNode, connectTo, pemOf } from '../../test/fakes/node-client.ts'
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

/** A connection that has done its handshake and says nothing. */
async function idle({ port }: Broker, options: { cert?: string; key?: string } = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'], ...options })
  cleanups.push(() => socket.destroy())
  socket.on('error', () => {}).resume()
  await new Promise<void>((resolve) => socket.once('secureConnect', resolve))
  return socket
}

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
