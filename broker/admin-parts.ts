import { hostname } from 'node:os'
import type { AdminAnswers } from './admin/admin-service.ts'
import { listAgents, nodeAgent, nodeAgents } from './admin/agent-answers.ts'
import { listAuditRecords } from './admin/audit-answers.ts'
import { explainPod } from './admin/explain-answer.ts'
import type { EvidenceSources } from './admin/explanation/gather-evidence.ts'
import { getIdentity, listIdentities } from './admin/identity-answers.ts'
import { type BrokerFacts, getStatus } from './admin/status-answer.ts'
import { listTemplates } from './admin/template-answers.ts'
import { templateCatalogue, templatesInForce } from './admin/template-views.ts'
import { getBundle, listAuthorities } from './admin/trust-answers.ts'
import { rotationPolicyOf } from './authority-parts.ts'
import type { AuthorityService } from './authority-service.ts'
import { longestLifeMs } from './ca/rotation.ts'
import { rotationSchedule } from './ca/rotation-schedule.ts'
import { adminAudienceOf, audienceOf, type BrokerConfig } from './config.ts'
import type { BrokerEnvironment } from './environment.ts'
import type { PodLookup } from './admin/explanation/pod-view.ts'
import type { LedgerQueries } from './ledger/ledger-queries.ts'
import type { OwnIdentity } from './own-identity.ts'
import type { Problems } from './problems.ts'
import type { Readiness } from './readiness.ts'
import type { TemplateSource } from './registration/template-source.ts'
import type { SyncHub } from './sync/sync-hub.ts'
import { BROKER_VERSION } from './version.ts'

export interface AnswerParts {
  readonly environment: BrokerEnvironment
  /** What there is to tell of the broker itself. */
  readonly state: { readonly problems: Problems; readonly readiness: Readiness; readonly identity: OwnIdentity }
  readonly trust: { readonly hub: SyncHub; readonly authorities: AuthorityService }
  readonly queries: LedgerQueries
  readonly cluster: {
    readonly lookup: PodLookup
    readonly registrationOf: EvidenceSources['registrationOf']
    readonly templates: TemplateSource
  }
}

/** What each method of the admin API answers, from the parts of the broker that know. */
export function adminAnswers(
  config: BrokerConfig,
  { environment, state, trust, queries, cluster }: AnswerParts,
): AdminAnswers {
  const { clock } = environment
  const { hub, authorities: service } = trust
  const { authorities } = service
  const policy = rotationPolicyOf(config)
  const facts = brokerFacts(config, clock.now())
  const sequence = () => authorities.bundle.sequence
  const agents = async () => nodeAgents(hub, await queries.holders(clock.now()))
  const identities = { queries, clock, longestLifeMs: () => longestLifeMs(authorities.slots, policy) }
  const evidence: EvidenceSources = {
    clock,
    queries,
    lookup: cluster.lookup,
    registrationOf: cluster.registrationOf,
    bundleSequence: sequence,
    agentOf: async (nodeName) => {
      const holders = await queries.holders(clock.now(), nodeName)
      return nodeAgent(nodeName, hub, { connected: hub.agents(), holders })
    },
  }
  return {
    getStatus: async () =>
      getStatus(facts, {
        now: clock.now(),
        notReady: state.readiness.reasons(),
        problems: state.problems.list(),
        ownSvidNotAfter: state.identity.current.notAfter,
        bundleSequence: sequence(),
        agents: await agents(),
        activeAuthorityNotAfter: authorities.active?.certificate.notAfter,
        templates: templatesInForce(cluster.templates),
      }),
    listIdentities: (request) => listIdentities(request, identities),
    getIdentity: (request) => getIdentity(request, identities),
    listAuthorities: async () => {
      const schedule = rotationSchedule(authorities.slots, policy)
      const waitingFor = schedule.activation?.isGated ? await authorities.waitingFor() : []
      return { ...listAuthorities(authorities.slots, schedule, waitingFor), bundleSequence: sequence() }
    },
    listAgents: async (request) => listAgents(request, await agents(), sequence()),
    getBundle: async () => getBundle(authorities.bundle),
    listTemplates: async (request) =>
      listTemplates(request, templateCatalogue(cluster.templates, state.problems.list())),
    explainPod: (request, { signal }) => explainPod(request, evidence, signal),
    listAuditRecords: (request) => listAuditRecords(request, queries),
  }
}

function brokerFacts(config: BrokerConfig, startedAt: Date): BrokerFacts {
  const { attestation, authority, issuance } = config
  return {
    trustDomain: config.trustDomain.toString(),
    version: BROKER_VERSION,
    host: hostname(),
    startedAt,
    settings: {
      attestationMode: attestation.mode,
      audience: audienceOf(config),
      adminAudience: adminAudienceOf(config),
      agentServiceAccounts: attestation.agents,
      templateSource: sourceOf(config),
      defaultTtlMs: issuance.defaultTtl,
      minTtlMs: issuance.minTtl,
      maxTtlMs: issuance.maxTtl,
      authorityMode: authority.mode,
    },
  }
}

function sourceOf({ templates }: BrokerConfig): string {
  if (!templates) return 'builtIn'
  return templates.customResources ? 'customResources' : 'directory'
}
