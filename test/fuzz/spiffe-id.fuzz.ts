import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { defineTarget, property } from './harness.ts'
import type { Rng } from './rng.ts'

/** SPIFFE-ID §2 again, as one expression. */
const RULES = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*$/
const isLegal = (text: string): boolean => RULES.test(text) && !text.endsWith('\n') && Buffer.byteLength(text) <= 2048

const PIECES = [
  '/',
  '//',
  '.',
  '..',
  '/.',
  '/..',
  '/../',
  '%2F',
  '%61',
  ':',
  '@',
  '?',
  '#',
  ' ',
  '\t',
  '\n',
  '\0',
  '\\',
]
const WORDS = [
  'ns',
  'shop',
  'sa',
  'cart',
  'countersign',
  'A',
  'a.b',
  'a_b',
  '-',
  '...',
  'ü',
  '🙂',
  '\uFF0F',
  'a'.repeat(300),
]

export const target = defineTarget<string>({
  name: 'spiffe-id',
  generate(rng) {
    const scheme = rng.oneIn(10)
      ? rng.pick(['', 'http://', 'SPIFFE://', 'spiffe:/', 'spiffe:', ' spiffe://'])
      : 'spiffe://'
    const trustDomain = rng.pick([
      'td',
      'prod.example',
      '1.2.3.4',
      'a_b',
      'a'.repeat(255),
      'Td',
      '',
      'td:80',
      'u@td',
      '[::1]',
    ])
    const path = rng.list(0, 8, () => `/${rng.pick(WORDS)}`).join('')
    return bend(rng, scheme + trustDomain + path)
  },
  run: (text) => check(text, (accepted) => SpiffeId.parse(accepted).toString()),
  plantedFault: {
    description: 'the parser of URLs, which resolves dots and hides an empty query',
    run: (text) => check(text, parseAsUrl),
  },
})

/** Once in two, one or two pieces are put in. */
function bend(rng: Rng, text: string): string {
  if (rng.oneIn(2)) return text
  return rng
    .list(1, 2, () => 0)
    .reduce<string>((bent) => {
      const at = rng.below(bent.length + 1)
      const piece = rng.oneIn(3) ? String.fromCodePoint(rng.below(0x250)) : rng.pick(PIECES)
      return bent.slice(0, at) + piece + bent.slice(at)
    }, text)
}

function check(text: string, parse: (text: string) => string): void {
  let parsed: string
  try {
    parsed = parse(text)
  } catch (error) {
    property(!isLegal(text), 'a legal ID was refused')
    throw error
  }
  property(isLegal(text), 'an illegal ID was accepted')
  property(parsed === text, 'an ID was changed')
}

function parseAsUrl(text: string): string {
  if (!text.startsWith('spiffe://') || !URL.canParse(text)) return SpiffeId.parse(text).toString()
  const { host, pathname } = new URL(text)
  return SpiffeId.parse(`spiffe://${host}${pathname}`).toString()
}
