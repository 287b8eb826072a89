import type { Clock } from '../core/runtime/clock.ts'
import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Log } from '../core/runtime/log.ts'
import { discoveredIssuer } from './attestation/discovered-issuer.ts'
import { jwksFile } from './attestation/jwks-file.ts'
import { NodeAttestor } from './attestation/node-attestor.ts'
import { PodAttestor } from './attestation/pod-attestor.ts'
import { SigningKeys } from './attestation/signing-keys.ts'
import { TokenPrecheck } from './attestation/token-precheck.ts'
import { NODE_REVIEW_LIMITS, REVIEW_LIMITS, type ReviewLimits, TokenReviewer } from './attestation/token-reviewer.ts'
import { audienceOf, type BrokerConfig } from './config.ts'
import type { Kubernetes } from './kubernetes/connect.ts'
import type { Problems } from './problems.ts'
import type { Readiness } from './readiness.ts'
import type { PodFacts } from './registration/pod-facts.ts'

export interface AttestationParts {
  readonly pods: PodAttestor
  readonly nodes: NodeAttestor
  readonly podFacts: PodFacts | undefined
  /** The local check of tokens that are for another audience than pods'. */
  readonly precheckFor: (audience: string) => TokenPrecheck
  /** For all else that is asked of the API server. */
  readonly kubernetes: Kubernetes | undefined
}

interface Parts {
  readonly clock: Clock
  readonly log: Log
  readonly lifecycle: Lifecycle
  readonly readiness: Readiness
  readonly problems: Problems
}

/** What vouches for tokens, as the configuration has it. */
export async function startAttestation(
  config: BrokerConfig,
  { clock, log, lifecycle, readiness, problems }: Parts,
): Promise<AttestationParts> {
  const kubernetes = await connect(config, clock, problems)
  if (kubernetes) lifecycle.add('kubernetes', () => kubernetes.close())

  const { mode, issuer, jwksFile: file, agents, maxTokenLifetime } = config.attestation
  const where = file === undefined ? {} : { setting: 'attestation.jwksFile', file }
  const onRefreshFailed = (error: unknown) =>
    log.warn({ err: error, ...where }, "the cluster's signing keys cannot be read")
  const fetchJwks = file === undefined ? required(kubernetes).fetchJwks : jwksFile(file)
  const keys = new SigningKeys({ fetchJwks, clock, onRefreshFailed })
  // An API server that is away comes back by itself; a file that is wrong is somebody's to mend, who should hear of it.
  if (file !== undefined) {
    await keys.load().catch(onRefreshFailed)
    readiness.check(() => {
      const problem = keys.problem()
      return problem && `${problem}: attestation.jwksFile`
    })
  }
  const knownIssuer = issuer ?? discoveredIssuer(required(kubernetes).discoverIssuer, clock)
  const precheckFor = (audience: string) =>
    new TokenPrecheck({ keys, clock }, { issuer: knownIssuer, audience, maxLifetimeMs: maxTokenLifetime })
  const precheck = precheckFor(audienceOf(config))
  const { maxConcurrentReviews, maxQueuedReviews } = config.issuance
  const reviewer = (limits: ReviewLimits) =>
    mode === 'jwksOnly' ? undefined : new TokenReviewer({ review: required(kubernetes).reviewToken, clock }, limits)
  const ofPods = { ...REVIEW_LIMITS, maxConcurrent: maxConcurrentReviews, maxQueued: maxQueuedReviews }
  return {
    pods: new PodAttestor({ precheck, reviewer: reviewer(ofPods) }),
    nodes: new NodeAttestor({ precheck, reviewer: reviewer(NODE_REVIEW_LIMITS) }, agents, clock),
    podFacts: kubernetes?.podFacts,
    precheckFor,
    kubernetes,
  }
}

/** Imported only where there is an API server: the client costs more memory than all else together. */
async function connect(config: BrokerConfig, clock: Clock, problems: Problems): Promise<Kubernetes | undefined> {
  if (!config.kubernetes) return undefined
  const { connectKubernetes } = await import('./kubernetes/connect.ts')
  const { kubeconfig, context } = config.kubernetes
  return connectKubernetes({
    audience: audienceOf(config),
    clock,
    problems,
    maxConnections: config.issuance.maxConcurrentReviews + NODE_REVIEW_LIMITS.maxConcurrent,
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(context !== undefined && { context }),
  })
}

function required(kubernetes: Kubernetes | undefined): Kubernetes {
  if (!kubernetes) throw new TypeError('the configuration was checked for this')
  return kubernetes
}
