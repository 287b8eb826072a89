import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { readJsonWebKeys } from './json-web-keys.ts'
import { SigningKeys } from './signing-keys.ts'

const jwkOf = (kid: string) => ({
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
  kid,
})
const [one, two] = [jwkOf('one'), jwkOf('two')]
const signal = new AbortController().signal

/** Keys whose source can be changed, and who count how often it is asked. */
function world() {
  const clock = new FakeClock()
  const source = { document: { keys: [one] } as unknown, asked: 0, failed: [] as unknown[] }
  const fetchJwks = () => {
    source.asked += 1
    return source.document instanceof Error ? Promise.reject(source.document) : Promise.resolve(source.document)
  }
  const keys = new SigningKeys({ fetchJwks, clock, onRefreshFailed: (error) => source.failed.push(error) })
  return { clock, source, keys }
}

test('fetches once for all who wait', async () => {
  const { keys, source } = world()
  const found = await Promise.all(Array.from({ length: 100 }, () => keys.find('one', signal)))
  expect(found.every((key) => key?.algorithm === 'ES256')).toBe(true)
  expect(source.asked).toBe(1)
})

test('a flood of unknown keys fetches once per interval', async () => {
  const { keys, source, clock } = world()
  await keys.find('one', signal)
  for (let round = 0; round < 1000; round += 1) expect(await keys.find(`forged-${round}`, signal)).toBeUndefined()
  expect(source.asked).toBe(1)
  await clock.advance(5000)
  for (let round = 0; round < 1000; round += 1) await keys.find(`forged-${round}`, signal)
  expect(source.asked).toBe(2)
})

test('a new key is found as soon as a token names it', async () => {
  const { keys, source, clock } = world()
  await keys.find('one', signal)
  source.document = { keys: [one, two] }
  await clock.advance(5000)
  expect(await keys.find('two', signal)).toBeDefined()
})

test('keys serve on while the API server is away, are told of, and end when they are stale', async () => {
  const { keys, source, clock } = world()
  await keys.find('one', signal)
  source.document = new Error('away')
  await clock.advance(61_000)
  expect(keys.current('one')).toBeDefined()
  await expect.poll(() => source.failed).toHaveLength(1)
  await clock.advance(240_000)
  expect(keys.current('one')).toBeUndefined()
  await expect(keys.find('one', signal)).rejects.toMatchObject({
    code: 'kubernetes_unavailable',
    message: "the cluster's signing keys cannot be read",
    retryAfterMs: expect.any(Number),
  })
})

test.for([
  { name: 'no JWK Set', document: { keys: 'x' } },
  { name: 'null', document: null },
  { name: 'more keys than a cluster has', document: { keys: Array(65).fill(one) } },
])('without keys nothing is believed: $name', async ({ document }) => {
  const { keys, source } = world()
  source.document = document
  await expect(keys.find('one', signal)).rejects.toMatchObject({ code: 'kubernetes_unavailable' })
})

test('says that no keys are at hand, and each look may mend it', async () => {
  const { keys, source, clock } = world()
  source.document = new Error('away')
  await expect(keys.load()).rejects.toThrow('away')
  expect(keys.problem()).toBe("the cluster's signing keys cannot be read")
  expect(source.asked).toBe(1)
  source.document = { keys: [one] }
  await clock.advance(5000)
  await expect.poll(() => keys.problem()).toBeUndefined()
  expect(source.asked).toBe(2)
})

test('a source that never answers is given up, and so are those who wait', async () => {
  const clock = new FakeClock()
  const keys = new SigningKeys({ fetchJwks: () => new Promise(() => {}), clock })
  const waiting = keys.find('one', signal)
  const caller = new AbortController()
  const impatient = keys.find('one', caller.signal)
  caller.abort(new Error('gone'))
  await expect(impatient).rejects.toThrow('gone')
  await Promise.all([clock.advance(5000), expect(waiting).rejects.toMatchObject({ code: 'kubernetes_unavailable' })])
})

const rsa = (bits: number) => generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ format: 'jwk' })
test.for([
  { name: 'a key for encryption', jwk: { ...one, use: 'enc' } },
  { name: 'an algorithm that is not the key type’s', jwk: { ...one, alg: 'RS256' } },
  { name: 'a symmetric key', jwk: { kty: 'oct', k: 'AAAA', kid: 'one' } },
  { name: 'RSA of 1024 bits', jwk: { ...rsa(1024), kid: 'one' } },
  { name: 'a point that is not on the curve', jwk: { ...one, x: 'AAAA' } },
  { name: 'an unknown curve', jwk: { ...one, crv: 'secp256k1' } },
  { name: 'null', jwk: null },
])('passes over $name', ({ jwk }) => {
  expect([...readJsonWebKeys({ keys: [jwk, two] }).keys()]).toEqual(['two'])
})

test('of two keys with one kid the first counts', () => {
  const keys = readJsonWebKeys({ keys: [one, { ...two, kid: 'one' }] })
  expect(keys.get('one')?.key.export({ format: 'jwk' })).toMatchObject({ x: one.x })
})
