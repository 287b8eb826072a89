import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { HANDSHAKE_MS, SpiffeCredentials } from './spiffe-credentials.ts'

let silent: Server
let accepted: Socket[]
let clock: FakeClock
beforeEach(async () => {
  clock = new FakeClock()
  accepted = []
  silent = createServer((socket) => accepted.push(socket.on('error', () => {}).resume()))
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
})
afterEach(() => {
  for (const socket of accepted) socket.destroy()
  silent.close()
})

const credentials = () => new SpiffeCredentials({ verify: () => {}, clock })
async function dial(): Promise<Socket> {
  const socket = connect((silent.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

test('a peer that says nothing has 10 s, and then no socket of ours', async () => {
  const connector = credentials()._createSecureConnector()
  const socket = await dial()
  const connecting = connector.connect(socket)
  connecting.catch(() => {})
  await clock.advance(HANDSHAKE_MS - 1)
  expect(socket.destroyed).toBe(false)
  await clock.advance(1)
  await expect(connecting).rejects.toMatchObject({ code: 'broker_unavailable' })
  expect(socket.destroyed).toBe(true)
  await vi.waitFor(() => expect(accepted.map(({ closed }) => closed)).toEqual([true]))
})

test('a channel that is closed leaves no handshake behind, nor begins one', async () => {
  const connector = credentials()._createSecureConnector()
  const [socket, later] = [await dial(), await dial()]
  const connecting = connector.connect(socket)
  connecting.catch(() => {})
  connector.destroy()
  await expect(connecting).rejects.toMatchObject({ code: 'broker_unavailable' })
  await expect(connector.connect(later)).rejects.toMatchObject({ code: 'broker_unavailable' })
  expect([socket.destroyed, later.destroyed]).toEqual([true, true])
})
