import { expect, test } from 'vitest'
import { refusal } from '../../test/vectors/refusal.ts'
import { TrustDomain } from './trust-domain.ts'

test('is its name', () => {
  const td = TrustDomain.parse('prod.example')
  expect(td.toString()).toBe('prod.example')
  expect(JSON.stringify({ td })).toBe('{"td":"prod.example"}')
  expect(td.equals(TrustDomain.parse('prod.example'))).toBe(true)
  expect(td.equals(TrustDomain.parse('prod.example.'))).toBe(false)
})

// ID-16
test('its ID has no slash', () => expect(TrustDomain.parse('prod.example').id).toBe('spiffe://prod.example'))

test.for([
  '',
  'Prod.example',
  'spiffe://prod.example',
  'prod.example/',
  'a b',
  'prod.example:443',
  '\u0000',
  'a'.repeat(256),
])('refuses %j', (text) =>
  expect(() => TrustDomain.parse(text)).toThrow(refusal('spiffe_id_invalid', 'not a trust domain')),
)
