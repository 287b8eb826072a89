import { serialTime } from '../../../core/pki/serial-number.ts'
import type { Clock } from '../../../core/runtime/clock.ts'
import type { PodDescription } from '../../registration/pod-facts.ts'
import type { AuditRecordRow, IdentityRow, LedgerQueries, PageOf } from '../../ledger/ledger-queries.ts'
import type { NodeAgent } from '../agent-answers.ts'
import type { Found, PastOf, PastRefusal, PodEvidence, RegistrationVerdict } from './evidence.ts'
import type { PodLookup, PodView } from './pod-view.ts'

/** Shown of each. */
const NEWEST = 5
/** Pages of a search; each takes the ledger 0.2 s at most. */
const MAX_PAGES = 10
/** Clocks of broker and API server may differ by so much. */
const SLACK_MS = 5 * 60_000

/** Refusals so long before the newest SVID are still shown. */
const REFUSALS_BEFORE_MS = 3_600_000

export interface EvidenceSources {
  readonly clock: Clock
  readonly lookup: PodLookup
  readonly queries: Pick<LedgerQueries, 'identities' | 'auditRecords'>
  readonly agentOf: (nodeName: string) => Promise<NodeAgent>
  readonly registrationOf: (pod: PodDescription, signal: AbortSignal) => Promise<RegistrationVerdict>
  readonly bundleSequence: () => bigint
}

/** Collects what is known of `pod`; what cannot be found out is part of it. */
export async function gatherEvidence(
  pod: PodView,
  sources: EvidenceSources,
  signal: AbortSignal,
): Promise<PodEvidence> {
  const { clock, lookup, agentOf, registrationOf, bundleSequence } = sources
  const asks = pod.volumes.length > 0
  const [serviceAccount, registration, agent, identities] = await Promise.all([
    found(lookup.serviceAccount(pod.namespace, pod.serviceAccount, signal)),
    asks ? registrationOf(described(pod), signal) : { reasons: [], identity: undefined, refusal: undefined },
    pod.nodeName === undefined ? undefined : agentOf(pod.nodeName),
    asks ? found(identitiesOf(pod, sources)) : absent,
  ])
  const refusals = asks ? await found(refusalsOf(pod, newestIssuedAt(identities), sources)) : absent
  return {
    now: clock.now(),
    pod,
    agent,
    bundleSequence: bundleSequence(),
    serviceAccount,
    registration,
    identities,
    refusals,
  }
}

const absent = { is: 'absent' } as const

async function found<T>(asked: Promise<T | undefined>): Promise<Found<T>> {
  try {
    const value = await asked
    return value === undefined ? absent : { is: 'there', value }
  } catch (error) {
    return { is: 'unknown', error }
  }
}

/** What a token of the pod would say. */
function described({ namespace, name, uid, nodeName, serviceAccount }: PodView): PodDescription {
  return { namespace, serviceAccount, podName: name, podUid: uid, nodeName: nodeName ?? '' }
}

async function identitiesOf(
  { uid, createdAt }: PodView,
  { queries, clock }: EvidenceSources,
): Promise<PastOf<IdentityRow>> {
  const issuedAfter = new Date(createdAt.getTime() - SLACK_MS)
  return newestOf((after) => queries.identities({ podUid: uid, at: clock.now(), issuedAfter }, { after, size: NEWEST }))
}

/** Of the agent of its own node alone: what another says about the pod is not to be believed. */
async function refusalsOf(
  { uid, nodeName, createdAt }: PodView,
  issuedAt: Date | undefined,
  { queries }: EvidenceSources,
): Promise<PastOf<PastRefusal>> {
  if (nodeName === undefined) return { rows: [], searchedTo: undefined }
  const filter = {
    events: ['issuance_refused'],
    facts: { podUid: uid, nodeName },
    // What was refused long before the newest SVID is over, and not worth a search through all that came since.
    since: new Date(issuedAt ? issuedAt.getTime() - REFUSALS_BEFORE_MS : createdAt.getTime() - SLACK_MS),
  }
  const { rows, searchedTo } = await newestOf((after) => queries.auditRecords(filter, { after, size: NEWEST }))
  return { rows: rows.map(refusalOf), searchedTo }
}

function newestIssuedAt(identities: Found<PastOf<IdentityRow>>): Date | undefined {
  const [newest] = identities.is === 'there' ? identities.value.rows : []
  return newest && serialTime(newest.serialNumber)
}

function refusalOf({ record }: AuditRecordRow): PastRefusal {
  const { at, code, reason, nodeName } = JSON.parse(record) as Readonly<Record<string, unknown>>
  return {
    at: new Date(String(at)),
    code: String(code),
    reason: typeof reason === 'string' ? reason : '',
    nodeName: String(nodeName),
  }
}

async function newestOf<T>(ask: (after: string | undefined) => Promise<PageOf<T>>): Promise<PastOf<T>> {
  const rows: T[] = []
  let after: string | undefined
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { rows: more, next, searchedTo } = await ask(after)
    rows.push(...more)
    if (next === undefined || rows.length >= NEWEST) return { rows: rows.slice(0, NEWEST), searchedTo: undefined }
    if (page + 1 === MAX_PAGES) return { rows, searchedTo }
    after = next
  }
  return { rows, searchedTo: undefined }
}
