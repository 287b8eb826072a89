import { z } from 'zod'
import { KEY_TYPES, type KeyType } from '../../core/pki/key.ts'
import { duration } from '../../core/runtime/config.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { type Characters, DNS_LABEL_CHARACTERS, factsThatRunTogether, VALUE_CHARACTERS } from './fact-boundaries.ts'
import { isDnsName } from './dns-name.ts'
import { labelSelector, type LabelSelector } from './label-selector.ts'
import * as cel from './cel-rules.ts'
import { type Fact, MAX_TEXT_LENGTH, parseTemplateText, type TemplateText } from './template-text.ts'

/** Which identity pods get: what design §4 calls IdentityTemplate, parsed and checked. */
export interface IdentityTemplate {
  readonly name: string
  readonly podSelector: LabelSelector | undefined
  readonly namespaceSelector: LabelSelector | undefined
  /** `namespace/name`, or `name` in whatever namespace; `undefined` selects all. */
  readonly serviceAccounts: readonly string[] | undefined
  readonly spiffeId: TemplateText
  readonly dnsNames: readonly TemplateText[]
  /** `undefined`: the broker's default. */
  readonly ttlMs: number | undefined
  readonly keyType: KeyType
  readonly commonName: TemplateText | undefined
  readonly hint: string
  readonly federatesWith: readonly TrustDomain[]
  /**
   * Why it gives nobody an identity: the object is wrong, and no good version of it is known. It still claims the pods
   * that it selects, since another template would give them an identity that nobody meant.
   */
  readonly unusable?: string
}

const DEFAULT_SPIFFE_ID = 'spiffe://{{ trustDomain }}/ns/{{ namespace }}/sa/{{ serviceAccount }}'
/** RFC 1123 subdomain: what Kubernetes allows as the name of an object. */
const OBJECT_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/
const SERVICE_ACCOUNT = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\/)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

const templateText = z.string().min(1).max(MAX_TEXT_LENGTH).transform(parsed(parseTemplateText))

const spiffeIdText = templateText
  .superRefine((text, context) => {
    const problem = problemOfSpiffeId(text)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  })
  .superRefine(apart(VALUE_CHARACTERS, cel.ID_APART))

const dnsNameText = templateText
  .refine(
    (text) => isDnsName(sampleOf(text)),
    'is not a DNS name (lower-case letters, digits and hyphens between dots)',
  )
  .superRefine(apart(DNS_LABEL_CHARACTERS, cel.DNS_APART))
  .meta(cel.meta(cel.KNOWN_FACTS_ONLY, cel.DNS_NAME, cel.DNS_APART, { maxLength: 1024 }))

const commonNameText = templateText
  .superRefine(apart(VALUE_CHARACTERS, cel.NAME_APART))
  .meta(cel.meta(cel.KNOWN_FACTS_ONLY, cel.NAME_APART))

const selectors = {
  podSelector: labelSelector.optional().describe('Selects pods by labels. Whoever may write labels decides.'),
  namespaceSelector: labelSelector.optional().describe('Selects namespaces by labels.'),
  serviceAccounts: z
    .array(
      z.string().max(317).regex(SERVICE_ACCOUNT, 'must be name or namespace/name').meta(cel.meta(cel.SERVICE_ACCOUNT)),
    )
    .min(1)
    .max(2000)
    .optional()
    .meta(cel.SET)
    .describe('Selects ServiceAccounts: namespace/name, or name in whatever namespace. Selectors must all hold.'),
}

/** Only which pods a template is about: what is left of an object that is wrong elsewhere. */
export const selectionSchema = z.object({ spec: z.object(selectors) })

/** The YAML form. Strict: an unknown key is a mistake that would otherwise give a pod more, or less, than was meant. */
export const identityTemplateSchema = z
  .strictObject({
    apiVersion: z.literal('countersign.dev/v1alpha1'),
    kind: z.literal('IdentityTemplate'),
    metadata: z.strictObject({
      name: z.string().regex(OBJECT_NAME, 'must be a lower-case RFC 1123 name'),
      labels: z.record(z.string(), z.string()).optional(),
      annotations: z.record(z.string(), z.string()).optional(),
    }),
    spec: z.strictObject({
      ...selectors,
      spiffeId: spiffeIdText
        .prefault(DEFAULT_SPIFFE_ID)
        .meta(cel.meta(cel.KNOWN_FACTS_ONLY, cel.SPIFFE_ID, cel.SEGMENTS, cel.NOT_RESERVED, cel.ID_APART))
        .describe('The ID, filled from facts of the API server. A value that is no legal path segment refuses.'),
      dnsNames: z
        .array(dnsNameText)
        .max(32)
        .default([])
        .meta(cel.SET)
        .describe('DNS names of the certificate, filled alike.'),
      ttl: duration
        .optional()
        .meta(cel.meta(cel.DURATION, { maxLength: 40 }))
        .describe("From issuance; within the broker's bounds. Default: issuance.defaultTtl."),
      keyType: z.enum(KEY_TYPES).default('ec-p256').describe('The key that the agent makes.'),
      subject: z
        .strictObject({
          commonName: commonNameText.describe('For servers that map nothing else.'),
        })
        .optional()
        .describe('The subject of the certificate, empty by default.'),
      // Byte for byte what travels in every answer (proto X509Svid.hint).
      hint: z
        .string()
        .refine((hint) => Buffer.byteLength(hint) <= 1024, 'is longer than 1024 bytes')
        .default('')
        .meta(cel.meta(cel.HINT, { maxLength: 1024 }))
        .describe('What the identity is for, told to the workload; at most 1024 bytes.'),
      // Taken and ignored, it would let somebody believe that a partner is trusted.
      federatesWith: z
        .array(z.string().max(255).transform(parsed(TrustDomain.parse)))
        .max(0, 'federation is not served yet')
        .default([])
        .meta(cel.meta(cel.NOT_FEDERATED, { maxItems: 100, ...cel.SET }))
        .describe('Foreign trust domains. Not served yet: must be empty.'),
    }),
  })
  .transform(({ metadata, spec }): IdentityTemplate => {
    const { podSelector, namespaceSelector, serviceAccounts, ttl, subject, ...rest } = spec
    return {
      ...rest,
      name: metadata.name,
      podSelector,
      namespaceSelector,
      serviceAccounts,
      ttlMs: ttl,
      commonName: subject?.commonName,
    }
  })

/** What applies where no template was written at all (design §1). Its name is none that an object could have. */
export const BUILT_IN_TEMPLATE: IdentityTemplate = {
  name: '(built-in)',
  podSelector: undefined,
  namespaceSelector: undefined,
  serviceAccounts: undefined,
  spiffeId: parseTemplateText(DEFAULT_SPIFFE_ID),
  dnsNames: [],
  ttlMs: undefined,
  keyType: 'ec-p256',
  commonName: undefined,
  hint: '',
  federatesWith: [],
}

/** A parser as a zod transform: what it throws is a problem of the document. */
function parsed<T>(parse: (text: string) => T) {
  return (text: string, context: z.core.$RefinementCtx<string>): T => {
    try {
      return parse(text)
    } catch (error) {
      if (!(error instanceof SyntaxError) && !(error instanceof IdentityError)) throw error
      context.addIssue({ code: 'custom', message: error.message })
      return z.NEVER
    }
  }
}

/** Refuses a text whose facts run into each other, as the rule of the API server does, and says which. */
function apart(characters: Characters, { message }: cel.CelRule) {
  return (text: TemplateText, context: z.core.$RefinementCtx<TemplateText>): void => {
    const facts = factsThatRunTogether(text, characters)
    if (facts !== undefined) context.addIssue({ code: 'custom', message: `${message} (${facts})` })
  }
}

const SCHEME = 'spiffe://'
/** A harmless value for any fact. */
const SAMPLE = 'x'

/** The text with a harmless value for each fact: what is wrong with it then, no fact can mend. */
function sampleOf(text: TemplateText): string {
  return text.map((part) => (typeof part === 'string' ? part : SAMPLE)).join('')
}

/**
 * What is wrong with a SPIFFE ID's fixed parts, which no fact can mend: found by putting a harmless value in for each
 * fact. Who the trust domain is no fact of a pod may say.
 */
function problemOfSpiffeId(text: TemplateText): string | undefined {
  const sample = sampleOf(text)
  const slash = sample.indexOf('/', SCHEME.length)
  if (slash === -1) return 'has no path, and the ID of the trust domain itself is no workload'
  const facts = factsBefore(text, slash)
  if (facts.some(({ kind }) => kind !== 'trustDomain')) {
    return 'has a fact in its trust domain other than {{ trustDomain }}'
  }
  if (facts.length > 0 && sample.startsWith(SCHEME) && sample.slice(SCHEME.length, slash) !== SAMPLE) {
    return 'mixes {{ trustDomain }} with something else in its trust domain'
  }
  try {
    const { path } = SpiffeId.parse(sample)
    if (path === '') return 'has no path'
    const [, first] = sample.slice(slash).split('/')
    return first === 'countersign' ? 'is below /countersign/, which is reserved' : undefined
  } catch (error) {
    if (error instanceof IdentityError) return error.message
    throw error
  }
}

/** The facts that stand before `end` in the sample of `text`. */
function factsBefore(text: TemplateText, end: number): readonly Fact[] {
  const facts: Fact[] = []
  let length = 0
  for (const part of text) {
    if (typeof part !== 'string' && length < end) facts.push(part)
    length += typeof part === 'string' ? part.length : SAMPLE.length
  }
  return facts
}
