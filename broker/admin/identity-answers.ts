import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { serialTime } from '../../core/pki/serial-number.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import {
  type GetIdentityRequest,
  type GetIdentityResponseSchema,
  type IdentitySchema,
  type ListIdentitiesRequest,
  ListIdentitiesRequestSchema,
  type ListIdentitiesResponseSchema,
  SvidKind,
  SvidState,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { IntentRecord } from '../ledger/audit-record.ts'
import { stateOf } from '../ledger/identity-query.ts'
import type { IdentityFilter, IdentityRow, LedgerQueries } from '../ledger/ledger-queries.ts'
import { askedPage } from './page-token.ts'
import { given, givenSerialNumber, givenSpiffeId, givenSpiffeIdPrefix, givenWord } from './request-fields.ts'

const KINDS = { [SvidKind.WORKLOAD]: 'workload', [SvidKind.AGENT]: 'agent', [SvidKind.BROKER]: 'broker' } as const
const STATES = {
  [SvidState.VALID]: 'valid',
  [SvidState.ENDED]: 'ended',
  [SvidState.EXPIRED]: 'expired',
  [SvidState.FAILED]: 'failed',
} as const

interface Dependencies {
  readonly queries: Pick<LedgerQueries, 'identities' | 'identity' | 'issuance'>
  readonly clock: Clock
  /** No SVID lives for longer: one that is valid was issued within this time. */
  readonly longestLifeMs: () => number
}

/** `ListIdentities`: what the ledger holds. */
export async function listIdentities(
  request: ListIdentitiesRequest,
  { queries, clock, longestLifeMs }: Dependencies,
): Promise<MessageInitShape<typeof ListIdentitiesResponseSchema>> {
  const at = clock.now()
  const state = givenWord('state', request.state, STATES)
  const filter: Partial<IdentityFilter> = {
    namespace: given('namespace', request.namespace),
    spiffeId: givenSpiffeId('spiffe_id', request.spiffeId),
    spiffeIdPrefix: givenSpiffeIdPrefix('spiffe_id_prefix', request.spiffeIdPrefix),
    serviceAccount: given('service_account', request.serviceAccount),
    nodeName: given('node_name', request.nodeName),
    podUid: given('pod_uid', request.podUid),
    kind: givenWord('kind', request.kind, KINDS),
    state,
    issuedAfter: state === 'valid' || state === 'ended' ? new Date(at.getTime() - longestLifeMs()) : undefined,
  }
  const page = askedPage(ListIdentitiesRequestSchema, request, (place) => /^[0-9a-f]{1,40}$/.test(place))
  const { rows, next, searchedTo } = await queries.identities({ ...filter, at }, page)
  return {
    identities: rows.map((row) => identityMessage(row, at)),
    nextPageToken: page.tokenOf(next),
    ...(searchedTo && { searchedTo: timestampFromDate(searchedTo) }),
  }
}

/** `GetIdentity`: one SVID; that of another namespace than the caller may look into is not there. */
export async function getIdentity(
  request: GetIdentityRequest,
  { queries, clock }: Pick<Dependencies, 'queries' | 'clock'>,
): Promise<MessageInitShape<typeof GetIdentityResponseSchema>> {
  const serialNumber = givenSerialNumber('serial_number', request.serialNumber)
  if (serialNumber === undefined) throw new IdentityError('request_invalid', 'serial_number is missing')
  const row = await queries.identity(serialNumber)
  if (!row || (request.namespace !== '' && row.namespace !== request.namespace)) {
    const where = request.namespace === '' ? '' : ` in namespace ${request.namespace}`
    throw new IdentityError('identity_not_found', `the ledger holds no SVID ${serialNumber}${where}`)
  }
  const found = await queries.issuance(serialNumber)
  const identity = identityMessage(row, clock.now())
  if (!found) return { identity }
  const record = JSON.parse(found.record) as IntentRecord
  return {
    identity,
    details: {
      podName: record.podName,
      template: record.template,
      tokenId: record.tokenId,
      reviewed: record.reviewed,
      notBefore: timestampFromDate(new Date(record.notBefore)),
      auditSequence: BigInt(found.seq),
    },
  }
}

export function identityMessage(row: IdentityRow, at: Date): MessageInitShape<typeof IdentitySchema> {
  const issuedAt = serialTime(row.serialNumber)
  return {
    serialNumber: row.serialNumber,
    kind: kindOf(row),
    state: SvidState[stateOf(row, at).toUpperCase() as 'VALID' | 'ENDED' | 'EXPIRED' | 'FAILED'],
    spiffeId: row.spiffeId,
    nodeName: row.nodeName,
    namespace: row.namespace,
    serviceAccount: row.serviceAccount,
    podUid: row.podUid,
    notAfter: timestampFromDate(row.notAfter),
    authorityKeyId: row.authorityKeyId,
    publicKeySha256: row.publicKeySha256,
    ...(row.endedAt && { endedAt: timestampFromDate(row.endedAt) }),
    ...(issuedAt && { issuedAt: timestampFromDate(issuedAt) }),
  }
}

function kindOf({ kind }: IdentityRow): SvidKind {
  switch (kind) {
    case 'workload':
      return SvidKind.WORKLOAD
    case 'agent':
      return SvidKind.AGENT
    case 'broker':
      return SvidKind.BROKER
    default:
      return SvidKind.UNSPECIFIED
  }
}
