import { mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { x509Bundle } from '../core/spiffe/bundle.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'
import { writeBundleFile } from './bundle-file.ts'

const bundle = x509Bundle(TrustDomain.parse('prod.example'), [], { sequence: 7n })

test('a link that somebody left in the place of the next file is not followed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'bundle-'))
  const [file, victim] = [join(directory, 'bundle.json'), join(directory, 'victim')]
  writeFileSync(victim, 'theirs')
  symlinkSync(victim, `${file}.new`)
  await writeBundleFile(file, bundle)
  expect(readFileSync(victim, 'utf8')).toBe('theirs')
  expect(readFileSync(file, 'utf8')).toContain('"spiffe_sequence":7')
})

test('what a broker left that died is replaced', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'bundle-')), 'bundle.json')
  writeFileSync(`${file}.new`, 'half')
  await writeBundleFile(file, bundle)
  expect(readFileSync(file, 'utf8')).toContain('"spiffe_sequence":7')
})
