import { extname } from 'node:path'
import { z } from 'zod'
import { KEY_TYPES } from '../core/pki/key.ts'
import { duration, readConfigFile } from '../core/runtime/config.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'
import { BUNDLE_FORMATS } from './bundle-file.ts'
import type { TemplateRules } from './registration/template-rules.ts'

/** `host:port`; IPv6 in brackets. Port 0 takes a free one. */
const address = z.string().transform((text, context) => {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || port === undefined || Number(port) > 65_535) {
    context.addIssue({ code: 'custom', message: 'is not host:port, for example 0.0.0.0:8443 or [::]:8443' })
    return z.NEVER
  }
  return { host: host === '' ? '::' : host, port: Number(port) }
})

const trustDomain = z.string().transform((text, context) => {
  try {
    return TrustDomain.parse(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
    return z.NEVER
  }
})

const HOUR = 3_600_000
const DAY = 24 * HOUR
const file = z.string().min(1)
const namespacedName = z.string().regex(/^[a-z0-9.-]+\/[a-z0-9.-]+$/, 'is not namespace/name')
const between = (least: number, most: number) => z.int().min(least).max(most)

const attestation = z.strictObject({
  mode: z
    .enum(['tokenReview', 'jwksOnly'])
    .default('tokenReview')
    .describe(
      'tokenReview: the API server vouches for every token. jwksOnly: its keys alone do, and each record says so.',
    ),
  issuer: z.string().min(1).optional().describe('The issuer of tokens. Default: what the API server says.'),
  audience: z.string().min(1).optional().describe('Default: countersign.dev/<trust domain>.'),
  jwksFile: file
    .optional()
    .describe("The cluster's JWK Set, where no API server is asked for it. Read again as it ages."),
  agents: z
    .array(namespacedName)
    .min(1)
    .default(['countersign-agent/countersign-agent'])
    .describe('The ServiceAccounts that are agents, each as namespace/name.'),
  maxTokenLifetime: duration.default(HOUR).describe('Tokens that were made for longer are refused.'),
})

const kubernetes = z
  .strictObject({
    kubeconfig: file.optional().describe('A kubeconfig. Without it the in-cluster configuration is used.'),
    context: z.string().min(1).optional().describe('The context of the kubeconfig. Default: its current one.'),
  })
  .describe('Access to the API server. Leave it out where there is none.')

/** A limit of a rate, with its defaults. */
const rate = (burst: number, perSecond: number) =>
  z
    .strictObject({
      burst: between(1, 10_000_000).default(burst).describe('So many at once.'),
      perSecond: between(1, 10_000_000).default(perSecond).describe('So many a second in the long run.'),
    })
    .prefault({})

const issuance = z.strictObject({
  minTtl: duration.default(5 * 60_000).describe('The shortest ttl that a template may ask for.'),
  maxTtl: duration.default(DAY).describe('The longest ttl that a template may ask for.'),
  defaultTtl: duration.default(HOUR).describe('The ttl of templates that name none.'),
  agentTtl: duration.default(HOUR).describe("The life of an agent's own SVID."),
  maxBatch: between(1, 1000).default(100).describe('Requests in one batch.'),
  maxConcurrent: between(1, 10_000).default(128).describe('SVIDs that are worked on at the same time.'),
  maxQueued: between(0, 100_000).default(5_000).describe('Requests that wait for their turn; more get a retry time.'),
  maxWait: duration.default(10_000).describe('The longest wait for a turn.'),
  perNode: rate(2_000, 10).describe('SVIDs that the agent of one node may ask for.'),
  perPod: rate(50, 1).describe('SVIDs that may be asked for with the tokens of one pod.'),
  maxConcurrentReviews: between(1, 1000)
    .default(32)
    .describe('TokenReviews of pods at the same time; those of agents have eight places of their own.'),
  maxQueuedReviews: between(0, 100_000).default(1_000).describe('TokenReviews that wait.'),
})

const authority = z.strictObject({
  mode: z
    .enum(['selfSigned', 'upstreamDisk'])
    .default('selfSigned')
    .describe('selfSigned: each authority is a trust anchor. upstreamDisk: a root on disk signs our authorities.'),
  lifetime: duration.default(14 * DAY).describe('The life of an authority; the next one is prepared at half of it.'),
  keyType: z.enum(KEY_TYPES).default('ec-p256').describe('The keys of authorities.'),
  wrappingKeyFile: file.optional().describe('Base64 of 32 random bytes; wraps the authority keys in the ledger.'),
  wrappingKeySecret: namespacedName
    .optional()
    .describe(
      'Instead of the file: a Secret, namespace/name, with the same in wrapping.key. Made where there is none and the ledger is new.',
    ),
  upstream: z
    .strictObject({
      certificateFile: file.describe('PEM: the signing certificate first, then those above it up to the root.'),
      keyFile: file.describe('PEM, PKCS#8: the key of the first.'),
    })
    .optional(),
  activationLeastDelay: duration
    .optional()
    .describe('How long a new authority is published before it signs. Default: a tenth of its life, at most 1h.'),
  activationDeadline: duration
    .optional()
    .describe(
      'How long before the old one ends the new one signs whatever happens. Default: a quarter of its life, at most 1d.',
    ),
})

const listener = z.strictObject({
  maxConnections: between(1, 1_000_000).default(20_000).describe('Connections at the same time.'),
  maxHandshakes: between(1, 100_000).default(512).describe('Connections in their TLS handshake at the same time.'),
  maxHandshakesPerAddress: between(1, 100_000)
    .default(128)
    .describe('Of these, how many from one address (IPv6: one /64); beyond that the oldest of them goes.'),
  maxAnonymous: between(1, 1_000_000)
    .default(512)
    .describe('Connections without the certificate of an agent at the same time; beyond that the oldest goes.'),
  handshakeTimeout: duration.default(10_000).describe('The longest that a TLS handshake may take.'),
})

const admin = z
  .strictObject({
    listen: address.describe('Where operators connect, host:port. A listener of its own, beside that of agents.'),
    audience: z
      .string()
      .min(1)
      .optional()
      .describe('The audience that bearer tokens must have. Default: countersign.dev/<trust domain>/admin.'),
    maxConnections: between(1, 10_000)
      .default(128)
      .describe('Connections at the same time; beyond that one of the address that has most of them goes.'),
  })
  .describe(
    'Where operators ask who has which identity, and why. Needs kubernetes, whose RBAC says who may. Default: nowhere.',
  )

/** The broker's configuration file: `docs/configuration.md` is made from this schema. */
export const brokerConfigSchema = z
  .strictObject({
    trustDomain: trustDomain.describe('The bare name of the trust domain, for example prod.example.'),
    listen: address.describe('Where agents connect, host:port.'),
    listener: listener.prefault({}),
    operations: z.strictObject({ listen: address.describe('Where probes and scrapers connect: plain HTTP.') }),
    attestation: attestation.prefault({}),
    kubernetes: kubernetes.optional(),
    admin: admin.optional(),
    templates: z
      .strictObject({
        directory: file
          .optional()
          .describe('A folder of IdentityTemplates, one YAML object of at most 128 KiB a file.'),
        customResources: z
          .boolean()
          .default(false)
          .describe('Follow the IdentityTemplates of the API server, and keep their status. Instead of directory.'),
      })
      .optional(),
    issuance: issuance.prefault({}),
    authority,
    ledger: z.strictObject({
      file: file.describe('The SQLite database; its folder must exist.'),
      retention: duration
        .default(90 * DAY)
        .describe('How long expired SVIDs and audit records are kept. The newest change of authorities always is.'),
    }),
    bundle: z
      .strictObject({
        files: z
          .array(
            file.refine(
              (path) => extname(path) in BUNDLE_FORMATS,
              'ends neither in .json nor in .pem, which is its format',
            ),
          )
          .default([])
          .describe(
            'Where the trust bundle is written for agents to begin with: .json is a SPIFFE bundle document, whose ' +
              'sequence keeps agents from going back to an old one; .pem is PEM.',
          ),
        configMaps: z
          .array(namespacedName)
          .max(20)
          .default([])
          .describe(
            'ConfigMaps, each as namespace/name, that are kept current: bundle.json is the SPIFFE bundle document, ca.crt is PEM.',
          ),
        clusterTrustBundle: z
          .boolean()
          .default(false)
          .describe(
            'Keep the ClusterTrustBundle countersign.dev:<trust domain>:bundle current, where the API server has such objects.',
          ),
        refreshHint: duration
          .default(5 * 60_000)
          .describe('How often consumers without a stream look for a newer one.'),
      })
      .prefault({}),
    log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info') }).prefault({}),
  })
  .superRefine((config, context) => {
    const problem = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: path.split('.'), message })
    const { attestation: tokens, issuance: bounds, authority: ca, bundle } = config
    if (tokens.mode === 'tokenReview' && !config.kubernetes) {
      problem('kubernetes', 'is needed to review tokens (kubernetes: {} is the in-cluster configuration)')
    }
    if (tokens.mode === 'jwksOnly' && !config.kubernetes && !(tokens.jwksFile && tokens.issuer)) {
      problem('attestation', 'without kubernetes, jwksFile and issuer are needed')
    }
    if (config.admin && !config.kubernetes) {
      problem('kubernetes', 'is needed for admin: the API server says who calls, and what they may')
    }
    if (config.admin && adminAudienceOf(config) === audienceOf(config)) {
      problem('admin.audience', 'is the audience of pods, whose tokens would then be good for more than identities')
    }
    if ((ca.wrappingKeyFile === undefined) === (ca.wrappingKeySecret === undefined)) {
      problem('authority', 'needs either wrappingKeyFile or wrappingKeySecret')
    }
    if (ca.wrappingKeySecret !== undefined && !config.kubernetes) {
      problem('authority.wrappingKeySecret', 'is in Kubernetes, and needs kubernetes')
    }
    if (bundle.configMaps.length > 0 && !config.kubernetes) {
      problem('bundle.configMaps', 'are in Kubernetes, and need kubernetes')
    }
    if (bundle.clusterTrustBundle && !config.kubernetes) {
      problem('bundle.clusterTrustBundle', 'is in Kubernetes, and needs kubernetes')
    }
    const { templates } = config
    if (templates && (templates.directory !== undefined) === templates.customResources) {
      problem('templates', 'needs either directory or customResources: true')
    }
    if (templates?.customResources && !config.kubernetes) {
      problem('kubernetes', 'is needed for templates.customResources (kubernetes: {} is the in-cluster configuration)')
    }
    if (bounds.minTtl < 2_000) problem('issuance.minTtl', 'is shorter than 2s')
    if (bounds.minTtl > bounds.maxTtl) problem('issuance.minTtl', 'is longer than maxTtl')
    if (bounds.defaultTtl < bounds.minTtl || bounds.defaultTtl > bounds.maxTtl) {
      problem('issuance.defaultTtl', 'is not within minTtl and maxTtl')
    }
    if (bounds.agentTtl < 2_000 || bounds.agentTtl > DAY) problem('issuance.agentTtl', 'is not within 2s and 1d')
    if (bounds.maxWait < 10) problem('issuance.maxWait', 'is shorter than 10ms')
    if (ca.lifetime < 2 * Math.max(bounds.maxTtl, bounds.agentTtl)) {
      problem(
        'authority.lifetime',
        'is shorter than two of the longest SVIDs that it signs (issuance.maxTtl, agentTtl)',
      )
    }
    if (ca.activationDeadline !== undefined && ca.activationDeadline >= ca.lifetime / 2) {
      problem('authority.activationDeadline', 'is not less than half of lifetime')
    }
    if (ca.mode === 'upstreamDisk' && !ca.upstream) problem('authority.upstream', 'is needed for upstreamDisk')
    if (ca.mode === 'selfSigned' && ca.upstream) problem('authority.upstream', 'has no use for selfSigned')
  })

export type BrokerConfig = z.output<typeof brokerConfigSchema>

/** @throws `IdentityError` `config_invalid` with one line per problem. */
export function readBrokerConfig(path: string): BrokerConfig {
  return readConfigFile(path, brokerConfigSchema)
}

/** What templates may ask of a broker with this configuration. */
export function templateRulesOf({ trustDomain, issuance, kubernetes: cluster }: BrokerConfig): TemplateRules {
  const { minTtl, maxTtl } = issuance
  return { trustDomain, minTtlMs: minTtl, maxTtlMs: maxTtl, knowsLabels: cluster !== undefined }
}

/** The audience that bearer tokens of operators must have. */
export function adminAudienceOf({ admin: settings, trustDomain: domain }: Audiences): string {
  return settings?.audience ?? `countersign.dev/${domain.toString()}/admin`
}

interface Audiences {
  readonly trustDomain: TrustDomain
  readonly attestation: { readonly audience?: string | undefined }
  readonly admin?: { readonly audience?: string | undefined } | undefined
}

/** The audience that tokens must have (design §1). */
export function audienceOf({ attestation: { audience }, trustDomain: domain }: Audiences): string {
  return audience ?? `countersign.dev/${domain.toString()}`
}
