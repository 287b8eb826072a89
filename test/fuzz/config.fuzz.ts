import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { agentConfigSchema } from '../../agent/config.ts'
import { brokerConfigSchema } from '../../broker/config.ts'
import { checkDocument, describeProblems } from '../../core/runtime/config.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { defineTarget, property } from './harness.ts'
import type { Rng } from './rng.ts'

const BROKER = {
  trustDomain: 'prod.example',
  listen: '0.0.0.0:8443',
  operations: { listen: '127.0.0.1:9090' },
  attestation: { mode: 'jwksOnly', jwksFile: '/jwks.json', issuer: 'https://issuer' },
  issuance: { minTtl: '5m', maxBatch: 100 },
  authority: { wrappingKeyFile: '/key' },
  ledger: { file: '/ledger' },
}
const AGENT = {
  trustDomain: 'prod.example',
  nodeName: 'node-a',
  broker: { address: 'broker:8443' },
  tokenFile: '/token',
  stateDirectory: '/state',
  csi: { kubeletDirectory: '/var/lib/kubelet' },
}

type Document = Record<string, unknown>

const PROGRAMS = {
  broker: { document: BROKER, schema: brokerConfigSchema },
  agent: { document: AGENT, schema: agentConfigSchema },
} as const
const NAMES = ['broker', 'agent'] as const

/** A file, and whose it is. */
interface ConfigFile {
  readonly program: (typeof NAMES)[number]
  readonly text: string
}

/** Configuration files, from their text to the parsed type or the list of what is wrong. */
export const target = defineTarget<ConfigFile>({
  name: 'config',
  generate(rng) {
    const program = rng.pick(NAMES)
    // Somebody may hand a program the other one's file, too.
    const document = structuredClone<Document>(PROGRAMS[rng.oneIn(20) ? rng.pick(NAMES) : program].document)
    if (!rng.oneIn(4)) for (const bend of rng.list(1, 3, () => rng.pick(BENDS))) bend(document, rng)
    const text = rng.oneIn(5) ? JSON.stringify(document) : stringify(document)
    return { program, text: rng.oneIn(4) ? bentText(rng, text) : text }
  },
  run: ({ program, text }) => check(text, PROGRAMS[program].schema, program),
  plantedFault: {
    description: 'unknown keys that are ignored',
    run: ({ program, text }) => check(text, z.looseObject({ trustDomain: z.string() }), program),
  },
})

function check(text: string, schema: z.ZodType, program: ConfigFile['program']): void {
  const result = checkDocument(text, schema)
  if ('problems' in result) {
    const { problems } = result
    property(problems.length > 0, 'a document was refused without a reason')
    property(
      problems.every(({ message }) => message !== ''),
      'a problem has no words',
    )
    throw new IdentityError('config_invalid', describeProblems('file', problems))
  }
  const known = new Set(Object.keys(PROGRAMS[program].schema.shape))
  const unknown = Object.keys(parse(text, { logLevel: 'error' }) as Document).filter((key) => !known.has(key))
  property(unknown.length === 0, `an unknown key was taken: ${unknown.join(', ')}`)
}

const VALUES: readonly unknown[] = [
  null,
  '',
  0,
  -1,
  1e308,
  true,
  [],
  {},
  '5',
  '5m',
  '1s',
  '-5m',
  'a:b',
  '[::1]:1',
  ':0',
  '../..',
  'é',
  'x'.repeat(5000),
  [[[]]],
]

/** As a file would have it: `__proto__` is a key like others, and the value nobody else's. */
function put(document: Document, key: string, value: unknown): void {
  const own = { value: structuredClone(value), enumerable: true, configurable: true, writable: true }
  Object.defineProperty(document, key, own)
}

const BENDS: readonly ((document: Document, rng: Rng) => void)[] = [
  (document, rng) =>
    put(document, rng.pick([...Object.keys(document), 'ttl', 'toString', 'constructor']), rng.pick(VALUES)),
  (document, rng) => delete document[rng.pick(Object.keys(document))],
  (document, rng) => {
    const sections = Object.values(document).filter(
      (value) => typeof value === 'object' && value !== null,
    ) as Document[]
    if (sections.length === 0) return
    const section = rng.pick(sections)
    put(section, rng.pick([...Object.keys(section), 'extra', '__proto__']), rng.pick(VALUES))
  },
]

/** What YAML has to offer to those who do not mean well. */
function bentText(rng: Rng, text: string): string {
  const at = rng.below(text.length + 1)
  const piece = rng.pick([
    '&a [*a]',
    '*nothing',
    '!!js/function x',
    '? ',
    '<<: *x',
    '---\n',
    '\t',
    '\u0000',
    '\uFEFF',
    '- ',
    ': ',
    '#',
    '"',
    '%YAML 9\n',
    '[',
    '{',
    'trustDomain: twice\n',
  ])
  return text.slice(0, at) + piece + text.slice(at + rng.below(3))
}
