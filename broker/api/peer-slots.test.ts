import type { Socket } from 'node:net'
import { beforeEach, describe, expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { addressKey, PeerSlots } from './peer-slots.ts'

/** What the slots look at. Each is an object of its own. */
const silent = () => ({ bytesRead: 0 }) as Socket
const talking = () => ({ bytesRead: 500 }) as Socket

let clock: FakeClock
let slots: PeerSlots

beforeEach(() => {
  clock = new FakeClock()
  slots = new PeerSlots(clock, { max: 4, maxPerAddress: 3 })
})

const take = (address: string, ...sockets: Socket[]) => sockets.map((socket) => slots.take(socket, address))

test('while there is room nobody goes, and what is released is room', () => {
  const [one, two] = [silent(), silent()]
  expect(take('a', one, two)).toEqual([undefined, undefined])
  slots.release(one)
  slots.release(one)
  expect(slots.size).toBe(1)
})

describe('without room, who goes', () => {
  test('of its own address: the oldest that has said nothing', () => {
    const [busy, quiet] = [talking(), silent()]
    take('a', busy, quiet, silent())
    expect(slots.take(silent(), 'a')).toBe(quiet)
    expect(slots.size).toBe(3)
  })

  test('of its own address, where all have said something: the oldest, unless it is fresh; then the one that comes', async () => {
    const [oldest, newcomer] = [talking(), talking()]
    take('a', oldest, talking(), talking())
    expect(slots.take(newcomer, 'a')).toBe(newcomer)
    expect(slots.size).toBe(3)
    await clock.advance(2_000)
    expect(slots.take(newcomer, 'a')).toBe(oldest)
  })

  test('of all: one of the address that has most, however fresh', () => {
    const [oldest, lone] = [talking(), silent()]
    take('b', lone)
    take('a', oldest, talking(), talking())
    expect(slots.take(silent(), 'c')).toBe(oldest)
    expect(slots.take(silent(), 'b')).not.toBe(lone)
  })

  test('a whole IPv6 network counts as one address, and IPv4 in IPv6 as what it is', () => {
    const [first, newcomer] = [silent(), silent()]
    take('2001:db8:0:1::1', first)
    take('2001:db8:0:1:ffff::2', talking())
    take('2001:db8:0:1:2:3:4:5', talking())
    expect(slots.take(newcomer, '2001:db8:0:1::9')).toBe(first)
    slots.release(newcomer)
    take('10.0.0.1', talking())
    take('::ffff:10.0.0.1', talking())
    expect(slots.size).toBe(4)
  })
})

test('those that stay silent, and no others', async () => {
  const early = silent()
  take('a', early, talking())
  await clock.advance(3_000)
  take('a', silent())
  expect(slots.silentFor(3_000)).toEqual([early])
})

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1'],
  ['2001:db8:0:1::5', '2001:db8:0:1'],
  ['fd00::1:a:b:c:d', 'fd00:0:0:1'],
  ['fd00::2:a:b:c:d', 'fd00:0:0:2'],
  ['fd00::', 'fd00:0:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['::1', '0:0:0:0'],
])('%s is counted as %s, however many words of it are left out', (address, key) => {
  expect(addressKey(address)).toBe(key)
})
