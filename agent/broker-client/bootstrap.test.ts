import { chmod, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../core/runtime/clock.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { bundleToPem, x509Bundle, type X509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { bootstrapBundles, bootstrapTrust, newerTrust, supersedes } from './bootstrap.ts'
import type { Bundles } from '../workloads/workload.ts'
import { SavedBundles } from './saved-bundles.ts'

const trustDomain = TrustDomain.parse('test.example')
const one = (await FakeBrokerAuthorities.create(trustDomain, systemClock)).bundle
const other = (await FakeBrokerAuthorities.create(trustDomain, systemClock)).bundle
const partner = (await FakeBrokerAuthorities.create(TrustDomain.parse('partner.example'), systemClock)).bundle

let directory: string
let saved: SavedBundles
let bootstrapFile: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootstrap-'))
  saved = new SavedBundles(join(directory, 'state'), trustDomain)
  bootstrapFile = join(directory, 'bundle')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const numbered = ({ authorities }: X509Bundle, sequence: bigint) => x509Bundle(trustDomain, authorities, { sequence })
const DAY_MS = 24 * 3_600_000
/** The authorities of these tests live for 14 days. */
const later = (days: number) => new Date(systemClock.now().getTime() + days * DAY_MS)
const load = (now = systemClock.now()) => bootstrapBundles({ trustDomain, bootstrapFile, saved, now })
const derOf = ({ own }: Bundles) => own.authorities.map(({ der }) => der)

/** A bundle whose authorities have expired by {@link later}(10), but not yet now. */
const fiveDaysAgo: Clock = { ...systemClock, now: () => later(-5) }
const shortLived = (await FakeBrokerAuthorities.create(trustDomain, fiveDaysAgo)).bundle

describe('what is found takes the place of what is held', () => {
  test.for([
    { name: 'with a higher sequence', held: 4n, found: 5n, takes: true },
    { name: 'not with the same', held: 5n, found: 5n, takes: false },
    { name: 'not with a lower one', held: 5n, found: 4n, takes: false },
    { name: 'not without one', held: 5n, found: 0n, takes: false },
    { name: 'not without one, where there is none either', held: 0n, found: 0n, takes: false },
    { name: 'once all that is held has expired, without one', held: 5n, found: 0n, at: 10, takes: true },
    { name: 'once all that is held has expired, with a lower one', held: 5n, found: 4n, at: 10, takes: true },
    { name: 'not where both have expired', held: 5n, found: 0n, at: 20, takes: false },
  ])('$name', ({ held, found, at = 0, takes }) => {
    expect(supersedes(numbered(other, found), numbered(shortLived, held), later(at))).toBe(takes)
  })

  test('not while one of several is still valid', () => {
    const both = x509Bundle(trustDomain, [...shortLived.authorities, ...one.authorities], { sequence: 5n })
    expect(supersedes(numbered(other, 0n), both, later(10))).toBe(false)
  })
})

describe('after a broker that was not believed', () => {
  const bundles = (own: X509Bundle): Bundles => ({ own, federated: [] })
  const told = (own: X509Bundle) => ({ bundles: bundles(own), heard: own.sequence })
  const read = (own: X509Bundle) => ({ bundles: bundles(own), heard: 0n })

  test('a file without a sequence takes nothing of what the broker said', () =>
    expect(newerTrust(told(numbered(one, 5n)), bundles(numbered(other, 0n)), later(0)).own.sequence).toBe(5n))

  test('a file that was put right is taken while the broker has said nothing yet', () =>
    expect(derOf(newerTrust(read(numbered(one, 0n)), bundles(numbered(other, 0n)), later(0)))).toEqual(
      other.authorities.map(({ der }) => der),
    ))

  test('so is one whose sequence was too high: what came from a file follows the file', () =>
    expect(derOf(newerTrust(read(numbered(one, 2n ** 62n)), bundles(numbered(other, 7n)), later(0)))).toEqual(
      other.authorities.map(({ der }) => der),
    ))
})

test('PEM is a bundle to begin with', async () => {
  await writeFile(bootstrapFile, bundleToPem(one))
  expect((await load()).own.authorities.map(({ der }) => der)).toEqual(one.authorities.map(({ der }) => der))
})

test('a SPIFFE bundle document is, with its sequence', async () => {
  await writeFile(bootstrapFile, encodeBundleDocument({ x509: numbered(one, 2n ** 60n), jwtAuthorities: [] }))
  expect((await load()).own.sequence).toBe(2n ** 60n)
})

test('what was enforced last is, federated bundles and all, when the file is gone', async () => {
  await saved.write({ own: numbered(one, 2n ** 60n), federated: [partner] })
  const { own, federated } = await load()
  expect(own.sequence).toBe(2n ** 60n)
  expect(federated.map(({ trustDomain: domain }) => domain.toString())).toEqual(['partner.example'])
})

test('a file that is projected anew around old contents brings back no authority that was withdrawn', async () => {
  await saved.write({ own: numbered(one, 7n), federated: [] })
  await writeFile(bootstrapFile, bundleToPem(other))
  const young = systemClock.now().getTime() / 1000 + 60
  await utimes(bootstrapFile, young, young)
  expect(derOf(await load())).toEqual(one.authorities.map(({ der }) => der))
})

test('a document with a higher sequence does count, however old its file', async () => {
  await saved.write({ own: numbered(one, 7n), federated: [partner] })
  await writeFile(bootstrapFile, encodeBundleDocument({ x509: numbered(other, 8n), jwtAuthorities: [] }))
  await utimes(bootstrapFile, 1, 1)
  const bundles = await load()
  expect(bundles.own.sequence).toBe(8n)
  expect(bundles.federated).toHaveLength(1)
})

describe('what pods get before the broker has spoken', () => {
  const served = async (at = systemClock.now()) =>
    derOf((await bootstrapTrust({ trustDomain, bootstrapFile, saved, now: at })).served)
  const ders = ({ authorities }: X509Bundle) => authorities.map(({ der }) => der)

  test('is its last word, whatever a file says', async () => {
    await saved.write({ own: numbered(shortLived, 7n), federated: [partner] })
    await writeFile(bootstrapFile, encodeBundleDocument({ x509: numbered(other, 8n), jwtAuthorities: [] }))
    expect(await served()).toEqual(ders(shortLived))
    expect(await served(later(10))).toEqual(ders(other))
  })

  test('is the file where it has said nothing yet', async () => {
    await writeFile(bootstrapFile, bundleToPem(other))
    expect(await served()).toEqual(ders(other))
  })
})

test('PEM counts once everything that was saved has expired, or was removed', async () => {
  await saved.write({ own: numbered(shortLived, 7n), federated: [] })
  await writeFile(bootstrapFile, bundleToPem(other))
  const expected = other.authorities.map(({ der }) => der)
  expect(derOf(await load(later(10)))).toEqual(expected)
  expect(derOf(await load())).not.toEqual(expected)
  await rm(saved.file)
  expect(derOf(await load())).toEqual(expected)
})

describe('a bundle that comes is saved', () => {
  test('before it is enforced, so that an agent that dies halfway comes back with it', async () => {
    const dies = () => Promise.reject(new Error('died'))
    await expect(saved.writeAround({ own: numbered(one, 7n), federated: [] }, dies)).rejects.toThrow('died')
    expect((await load()).own.sequence).toBe(7n)
  })

  test('after it is enforced, where the disk took it no sooner', async () => {
    await writeFile(join(directory, 'state'), 'no folder')
    const enforced = () => rm(join(directory, 'state'))
    await saved.writeAround({ own: numbered(one, 7n), federated: [] }, enforced)
    expect((await load()).own.sequence).toBe(7n)
  })
})

describe('what others may write is not begun with', () => {
  test.for([
    { name: 'the folder', mode: 0o770, of: () => join(directory, 'state') },
    { name: 'the file', mode: 0o666, of: () => saved.file },
  ])('$name', async ({ mode, of }) => {
    await saved.write({ own: numbered(one, 7n), federated: [] })
    await writeFile(bootstrapFile, bundleToPem(other))
    await chmod(of(), mode)
    await expect(load()).rejects.toMatchObject({ code: 'config_invalid' })
  })

  test('a folder that others may look into is fine', async () => {
    await mkdir(join(directory, 'state'), { mode: 0o755 })
    await saved.write({ own: numbered(one, 7n), federated: [] })
    expect((await load()).own.sequence).toBe(7n)
  })
})

test('what was saved and is damaged counts for nothing', async () => {
  await saved.write({ own: one, federated: [] })
  await writeFile(saved.file, '{"version":1,"bundles":{"test.example":"{"}}')
  await writeFile(bootstrapFile, bundleToPem(other))
  expect((await load()).own.authorities).toHaveLength(1)
})

describe('never trust on first use: without a bundle there is no start', () => {
  test.for([
    { name: 'no file', text: undefined },
    { name: 'an empty file', text: '' },
    { name: 'a document without keys', text: '{"keys":[]}' },
    { name: 'a private key', text: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' },
  ])('$name', async ({ text }) => {
    if (text !== undefined) await writeFile(bootstrapFile, text)
    await expect(load()).rejects.toMatchObject({ code: expect.stringMatching(/^(bundle|pem)_invalid$/) as unknown })
  })

  test('no setting', async () => {
    await expect(
      bootstrapBundles({ trustDomain, bootstrapFile: undefined, saved, now: later(0) }),
    ).rejects.toMatchObject({
      code: 'bundle_invalid',
    })
  })
})
