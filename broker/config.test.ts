import { existsSync, mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../core/runtime/config.ts'
import { adminAudienceOf, audienceOf, brokerConfigSchema } from './config.ts'
import { readCommand } from './flags.ts'

const MINIMAL = {
  trustDomain: 'prod.example',
  listen: '0.0.0.0:8443',
  operations: { listen: '[::]:9090' },
  kubernetes: {},
  authority: { wrappingKeyFile: '/keys/wrapping.key' },
  ledger: { file: '/data/ledger.sqlite' },
}
const parse = (change: object) =>
  parseConfig(JSON.stringify({ ...MINIMAL, ...change }), brokerConfigSchema, 'broker.yaml')

test('what is left out has its default', () => {
  const config = parse({})
  expect(config).toMatchObject({
    listen: { host: '0.0.0.0', port: 8443 },
    operations: { listen: { host: '::', port: 9090 } },
    attestation: { mode: 'tokenReview', agents: ['countersign-agent/countersign-agent'], maxTokenLifetime: 3_600_000 },
    issuance: { minTtl: 300_000, maxTtl: 86_400_000, defaultTtl: 3_600_000, maxBatch: 100 },
    authority: { mode: 'selfSigned', lifetime: 1_209_600_000, keyType: 'ec-p256' },
  })
  expect(audienceOf(config)).toBe('countersign.dev/prod.example')
  expect(adminAudienceOf(config)).toBe('countersign.dev/prod.example/admin')
  expect(config.admin).toBeUndefined()
})

describe('refuses', () => {
  test.for<{ name: string; change: object; says: string }>([
    { name: 'a trust domain that is none', change: { trustDomain: 'Prod.Example' }, says: 'trustDomain: ' },
    { name: 'an address without a port', change: { listen: 'localhost' }, says: 'listen: is not host:port' },
    { name: 'a port that is too high', change: { listen: '[::1]:70000' }, says: 'listen: is not host:port' },
    { name: 'an unknown key', change: { lissten: 'x' }, says: '"lissten"' },
    { name: 'reviews without a cluster', change: { kubernetes: undefined }, says: 'kubernetes: is needed' },
    {
      name: 'a JWKS without an issuer',
      change: { kubernetes: undefined, attestation: { mode: 'jwksOnly', jwksFile: 'x' } },
      says: 'attestation: without kubernetes, jwksFile and issuer are needed',
    },
    {
      name: 'an agent that is no namespace/name',
      change: { attestation: { agents: ['agent'] } },
      says: 'namespace/name',
    },
    {
      name: 'operators without a cluster',
      change: {
        kubernetes: undefined,
        admin: { listen: ':8444' },
        attestation: { mode: 'jwksOnly', jwksFile: 'x', issuer: 'y' },
      },
      says: 'kubernetes: is needed for admin',
    },
    {
      name: 'the audience of pods for operators',
      change: { admin: { listen: ':8444', audience: 'countersign.dev/prod.example' } },
      says: 'admin.audience: ',
    },
    { name: 'no agent at all', change: { attestation: { agents: [] } }, says: 'attestation.agents: ' },
    { name: 'ttl bounds that cross', change: { issuance: { minTtl: '2h', maxTtl: '1h' } }, says: 'issuance.minTtl: ' },
    { name: 'a ttl that nobody can renew', change: { issuance: { minTtl: '1s' } }, says: 'issuance.minTtl: ' },
    {
      name: 'an authority that lives too short',
      change: { authority: { ...MINIMAL.authority, lifetime: '25h' } },
      says: 'authority.lifetime: ',
    },
    {
      name: 'a deadline before the middle',
      change: { authority: { ...MINIMAL.authority, activationDeadline: '8d' } },
      says: 'authority.activationDeadline: ',
    },
    {
      name: 'a bundle file of which nobody knows the format',
      change: { bundle: { files: ['bundle.json', 'bundle.crt'] } },
      says: 'bundle.files.1: ends neither in .json nor in .pem',
    },
    {
      name: 'an upstream without files',
      change: { authority: { ...MINIMAL.authority, mode: 'upstreamDisk' } },
      says: 'authority.upstream: is needed',
    },
  ])('$name', ({ change, says }) => {
    expect(() => parse(change)).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining(says) }),
    )
  })
})

describe('the command line', () => {
  const directory = mkdtempSync(join(tmpdir(), 'flags-'))
  const flags = ['--trust-domain', 'dev.example', '--data', join(directory, 'data')]

  test('starts a broker by flags alone, for development', () => {
    const command = readCommand([
      ...flags,
      '--jwks',
      'jwks.json',
      '--issuer',
      'https://i',
      '--agent',
      'a/b',
      '--min-ttl',
      '5s',
    ])
    expect(command).toMatchObject({
      run: {
        listen: { host: '127.0.0.1', port: 0 },
        attestation: { mode: 'jwksOnly', agents: ['a/b'] },
        issuance: { minTtl: 5000 },
      },
    })
    const key = join(directory, 'data', 'wrapping.key')
    expect(existsSync(key)).toBe(true)
    expect(statSync(key).mode & 0o777).toBe(0o600)
  })

  test('checks a file', () => {
    const file = join(directory, 'broker.yaml')
    writeFileSync(file, JSON.stringify(MINIMAL))
    expect(readCommand(['config-check', file])).toEqual({ check: file })
    expect(readCommand(['--config', file])).toMatchObject({ run: { trustDomain: expect.anything() } })
  })

  test.for([
    { name: 'nothing', args: [], says: '--trust-domain and --data are needed\nusage' },
    { name: 'an unknown flag', args: ['--nope'], says: "'--nope'" },
    { name: 'a file and flags together', args: ['--config', 'x', ...flags], says: '--config stands alone' },
    {
      name: 'a word that is no command',
      args: ['serve'],
      says: 'serve is no command; config-check and uninstall-check are\nusage',
    },
    { name: 'a file that is not there', args: ['--config', '/nonexistent'], says: 'ENOENT' },
    { name: 'flags that do not fit', args: flags, says: 'attestation: without kubernetes' },
  ])('refuses $name', ({ args, says }) => {
    expect(() => readCommand(args)).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining(says) }),
    )
  })
})
