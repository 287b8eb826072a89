import { describe, expect, test } from 'vitest'
import { refusal } from '../../test/vectors/refusal.ts'
import { SpiffeId } from './spiffe-id.ts'
import { TrustDomain } from './trust-domain.ts'

const bytes = Array.from({ length: 256 }, (_, code) => ({ code, character: String.fromCharCode(code) }))
const td = TrustDomain.parse('prod.example')

describe('accepts', () => {
  test.for([
    { text: 'spiffe://prod.example', path: '' },
    { text: 'spiffe://prod.example/ns/shop/sa/cart', path: '/ns/shop/sa/cart' },
    { text: 'spiffe://a_b.example/x', path: '/x' },
    { text: 'spiffe://1.2.3.4/x', path: '/x' },
    { text: 'spiffe://example..org/x', path: '/x' },
    { text: 'spiffe://.example.org./x', path: '/x' },
    { text: 'spiffe://-a-/x', path: '/x' },
    // ID-11: only whole segments of dots are special
    { text: 'spiffe://td/.a', path: '/.a' },
    { text: 'spiffe://td/..a', path: '/..a' },
    { text: 'spiffe://td/...', path: '/...' },
    { text: 'spiffe://td/a.', path: '/a.' },
    { text: 'spiffe://td/A-Z_0.9', path: '/A-Z_0.9' },
  ])('$text', ({ text, path }) => {
    const id = SpiffeId.parse(text)
    expect(id.path).toBe(path)
    expect(id.toString()).toBe(text)
    expect(JSON.stringify({ id })).toBe(`{"id":"${text}"}`)
  })
})

describe('refuses', () => {
  test.for([
    // ID-01
    { text: '', says: 'begin with spiffe://' },
    { text: 'http://td/a', says: 'begin with spiffe://' },
    { text: 'spiffe:/td/a', says: 'begin with spiffe://' },
    { text: 'spiffe:td', says: 'begin with spiffe://' },
    { text: 'xspiffe://td/a', says: 'begin with spiffe://' },
    { text: ' spiffe://td/a', says: 'begin with spiffe://' },
    { text: 'SPIFFE://td/a', says: 'begin with spiffe://' },
    // ID-02
    { text: 'spiffe://td/a?x=1', says: 'legal in its path' },
    { text: 'spiffe://td/a#f', says: 'legal in its path' },
    { text: 'spiffe://td/a?', says: 'legal in its path' },
    { text: 'spiffe://td/a#', says: 'legal in its path' },
    { text: 'spiffe://td?', says: 'legal in it' },
    // ID-03
    { text: 'spiffe://', says: 'it is empty' },
    { text: 'spiffe:///a', says: 'it is empty' },
    // ID-04
    { text: 'spiffe://u@td/a', says: 'the character at 1' },
    { text: 'spiffe://u:p@td/a', says: 'the character at 1' },
    { text: 'spiffe://@td/a', says: 'the character at 0' },
    { text: 'spiffe://td:8080/a', says: 'the character at 2' },
    { text: 'spiffe://td:/a', says: 'the character at 2' },
    // ID-05, ID-06
    { text: 'spiffe://Td/a', says: 'the character at 0' },
    { text: 'spiffe://[::1]/a', says: 'the character at 0' },
    { text: 'spiffe://tÜd/a', says: 'the character at 1' },
    // ID-07
    { text: 'spiffe://%62%61%64/a', says: 'the character at 0' },
    { text: 'spiffe://td/%61', says: 'the character at 1' },
    { text: 'spiffe://td/foo%2Fbar', says: 'the character at 4' },
    { text: 'spiffe://td/%F0%9F%A4%AF', says: 'the character at 1' },
    // ID-10
    { text: 'spiffe://td//', says: 'empty segment' },
    { text: 'spiffe://td//a', says: 'empty segment' },
    { text: 'spiffe://td/a//b', says: 'empty segment' },
    // ID-11
    { text: 'spiffe://td/.', says: '. or ..' },
    { text: 'spiffe://td/..', says: '. or ..' },
    { text: 'spiffe://td/a/./b', says: '. or ..' },
    { text: 'spiffe://td/a/../b', says: '. or ..' },
    { text: 'spiffe://td/a/..', says: '. or ..' },
    // ID-12
    { text: 'spiffe://td/', says: 'ends with a slash' },
    { text: 'spiffe://td/a/', says: 'ends with a slash' },
    { text: 'spiffe://td/a\n', says: 'the character at 2' },
  ])('$text', ({ text, says }) => {
    expect(() => SpiffeId.parse(text)).toThrow(refusal('spiffe_id_invalid', says))
  })

  // ID-08
  test('a trust domain of more than 255 bytes', () => {
    expect(SpiffeId.parse(`spiffe://${'a'.repeat(255)}/x`).path).toBe('/x')
    expect(() => SpiffeId.parse(`spiffe://${'a'.repeat(256)}/x`)).toThrow(refusal('spiffe_id_invalid', '255 bytes'))
  })

  // ID-14
  test('more than 2048 bytes', () => {
    const longest = `spiffe://td/${'a'.repeat(2048 - 'spiffe://td/'.length)}`
    expect(SpiffeId.parse(longest).toString()).toBe(longest)
    expect(() => SpiffeId.parse(`${longest}a`)).toThrow(refusal('spiffe_id_invalid', '2048 bytes'))
    const segment = longest.slice('spiffe://td/'.length)
    expect(SpiffeId.of(TrustDomain.parse('td'), segment).toString()).toBe(longest)
    expect(() => SpiffeId.of(TrustDomain.parse('td'), `${segment}a`)).toThrow(refusal('spiffe_id_invalid', '2048'))
  })
})

describe('of all bytes', () => {
  test('only a-z 0-9 . - _ are legal in a trust domain', () => {
    const legal = bytes
      .filter(({ character }) => parses(`spiffe://td${character}td/x`))
      .map(({ character }) => character)
    // The slash ends the trust domain, so that it is legal after it.
    expect(legal.join('')).toBe('-./0123456789_abcdefghijklmnopqrstuvwxyz')
  })

  test('only A-Z a-z 0-9 . - _ are legal in a path', () => {
    const legal = bytes
      .filter(({ character }) => parses(`spiffe://td/a${character}b`))
      .map(({ character }) => character)
    expect(legal.join('')).toBe('-./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz')
  })

  test('none is legal after the path but those of a path', () => {
    const legal = bytes.filter(({ character }) => parses(`spiffe://td/a${character}`)).map(({ character }) => character)
    expect(legal.join('')).toBe('-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz')
  })
})

function parses(text: string): boolean {
  try {
    return SpiffeId.parse(text).toString() === text
  } catch {
    return false
  }
}

describe('of', () => {
  test('joins segments', () => expect(SpiffeId.of(td, 'ns', 'shop').toString()).toBe('spiffe://prod.example/ns/shop'))
  test('without segments is the trust domain', () => expect(SpiffeId.of(td).toString()).toBe('spiffe://prod.example'))
  // ID-17: a value is refused, never escaped.
  test.for(['', '.', '..', 'a/b', 'a:b', 'a@b', 'a%2Fb', 'ü'])('refuses the segment %j', (segment) => {
    expect(() => SpiffeId.of(td, 'ns', segment)).toThrow(refusal('spiffe_id_invalid'))
  })
})

describe('comparison', () => {
  // ID-13
  test('the path is case-sensitive', () => {
    expect(SpiffeId.parse('spiffe://td/A').equals(SpiffeId.parse('spiffe://td/a'))).toBe(false)
    expect(SpiffeId.parse('spiffe://td/a').equals(SpiffeId.parse('spiffe://td/a'))).toBe(true)
    expect(SpiffeId.parse('spiffe://td/a').equals(SpiffeId.parse('spiffe://dt/a'))).toBe(false)
  })

  test('invariant 5: membership compares the trust domain, not a prefix', () => {
    expect(SpiffeId.parse('spiffe://prod.example/a').isMemberOf(td)).toBe(true)
    expect(SpiffeId.parse('spiffe://prod.example.evil/a').isMemberOf(td)).toBe(false)
    expect(SpiffeId.parse('spiffe://prod.exampl/e').isMemberOf(td)).toBe(false)
  })

  test.for([
    { path: '/countersign', reserved: true },
    { path: '/countersign/broker', reserved: true },
    { path: '/countersign/agent/node-1', reserved: true },
    { path: '/countersigned', reserved: false },
    { path: '/Countersign/broker', reserved: false },
    { path: '/ns/countersign', reserved: false },
    { path: '', reserved: false },
  ])('$path is reserved: $reserved', ({ path, reserved }) => {
    expect(SpiffeId.parse(`spiffe://prod.example${path}`).isReserved).toBe(reserved)
  })

  test('below compares whole segments', () => {
    const id = SpiffeId.parse('spiffe://prod.example/ns/shop/sa/cart')
    expect(['/ns', '/ns/shop', '/ns/shop/sa/cart'].map((prefix) => id.isBelow(prefix))).toEqual([true, true, true])
    expect(['/ns/sho', '/n', '/sa'].map((prefix) => id.isBelow(prefix))).toEqual([false, false, false])
  })
})
