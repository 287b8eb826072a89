import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { bundleToPem, x509Bundle, type X509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { bootstrapBundles, newerOf } from './bootstrap.ts'
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
const dated = (own: X509Bundle, writtenAtMs: number) => ({ bundles: { own, federated: [] }, writtenAtMs })
const load = () => bootstrapBundles({ trustDomain, bootstrapFile, saved })

describe('which is newer', () => {
  test.for([
    { name: 'the higher sequence, saved', saved: [5n, 1], file: [4n, 9], wins: 'saved' },
    { name: 'the higher sequence, in the file', saved: [4n, 9], file: [5n, 1], wins: 'file' },
    { name: 'the same sequence: what was saved', saved: [5n, 1], file: [5n, 9], wins: 'saved' },
    { name: 'a file without sequence that is younger', saved: [5n, 1], file: [0n, 9], wins: 'file' },
    { name: 'a file without sequence that is older', saved: [5n, 9], file: [0n, 1], wins: 'saved' },
  ] as const)('$name', ({ saved: [a, aMs], file: [b, bMs], wins }) => {
    const result = newerOf(dated(numbered(one, a), aMs), dated(numbered(other, b), bMs))
    expect(result?.own.authorities[0]).toBe((wins === 'saved' ? one : other).authorities[0])
  })
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

test('a younger file without a sequence replaces what was saved', async () => {
  await saved.write({ own: numbered(one, 7n), federated: [] })
  await writeFile(bootstrapFile, bundleToPem(other))
  const later = systemClock.now().getTime() / 1000 + 60
  await utimes(bootstrapFile, later, later)
  expect((await load()).own.authorities[0]?.der.equals(other.authorities[0]?.der ?? Buffer.alloc(0))).toBe(true)
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
    await expect(bootstrapBundles({ trustDomain, bootstrapFile: undefined, saved })).rejects.toMatchObject({
      code: 'bundle_invalid',
    })
  })
})
