/**
 * A workload of the demonstration: a process of its own that knows nothing of Countersign but its volume or its socket.
 *
 *     node test/demo/workload/main.ts --directory DIR --serve HOST --allow ID [--allow ID]
 *     node test/demo/workload/main.ts --directory DIR | --socket PATH --connect HOST:PORT --expect ID
 *
 * It prints one JSON object per line: `svid` for each identity it gets, `listening`, and `traffic` as it goes.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { call, type Conversation } from './call.ts'
import { type Credentials, followVolume } from './credentials.ts'
import { followStream } from './follow-stream.ts'
import { shownOf } from './peer.ts'
import { serve } from './serve.ts'

const { values } = parseArgs({
  options: {
    directory: { type: 'string' },
    socket: { type: 'string' },
    serve: { type: 'string' },
    allow: { type: 'string', multiple: true },
    connect: { type: 'string' },
    expect: { type: 'string' },
    'every-ms': { type: 'string', default: '20' },
  },
})

const say = (event: string, fields: object) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)

let current: Credentials | undefined
const server = values.serve === undefined ? undefined : serve(values.serve, values.allow ?? [])

function rotate(credentials: Credentials): void {
  current = credentials
  say('svid', shownOf(credentials))
  server?.rotate(credentials)
}

if (values.directory !== undefined) followVolume(values.directory, rotate)
else if (values.socket !== undefined) {
  followStream(values.socket, rotate).catch((error: Error) => {
    say('failed', { message: error.message })
    process.exit(1)
  })
}

if (server) say('listening', { ...(await server.listening) })
if (values.connect !== undefined) await traffic(values.connect, values.expect ?? '', Number(values['every-ms']))

/** New handshakes all the time, and one conversation that stays open over every rotation. */
async function traffic(address: string, expected: string, everyMs: number): Promise<never> {
  let open: Conversation | undefined
  let handshakes = 0
  let failed = 0
  for (;;) {
    await delay(everyMs)
    if (current === undefined) continue
    try {
      const fresh = await call(address, expected, current)
      const us = await fresh.ask()
      fresh.close()
      open ??= await call(address, expected, current)
      await open.ask()
      handshakes += 1
      if (handshakes % 10 === 1) say('traffic', { handshakes, failed, peer: fresh.server, us })
    } catch (error) {
      failed += 1
      say('traffic', { handshakes, failed, message: (error as Error).message })
    }
  }
}
