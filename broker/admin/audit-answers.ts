import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { IdentityError } from '../../core/runtime/errors.ts'
import {
  type AuditRecordSchema,
  type ListAuditRecordsRequest,
  ListAuditRecordsRequestSchema,
  type ListAuditRecordsResponseSchema,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { AuditRecordRow, LedgerQueries } from '../ledger/ledger-queries.ts'
import { askedPage } from './page-token.ts'
import { given, givenSerialNumber, givenSpiffeId, givenTime } from './request-fields.ts'

const MAX_EVENTS = 32

/** `ListAuditRecords`. */
export async function listAuditRecords(
  request: ListAuditRecordsRequest,
  queries: Pick<LedgerQueries, 'auditRecords'>,
): Promise<MessageInitShape<typeof ListAuditRecordsResponseSchema>> {
  const { events } = request
  if (events.length > MAX_EVENTS || events.some((event) => !/^[a-z_]{1,64}$/.test(event))) {
    throw new IdentityError('request_invalid', `events holds more than ${MAX_EVENTS} words, or what is none`)
  }
  const facts = {
    namespace: given('namespace', request.namespace),
    code: given('code', request.code),
    podUid: given('pod_uid', request.podUid),
    podName: given('pod_name', request.podName),
    nodeName: given('node_name', request.nodeName),
    spiffeId: givenSpiffeId('spiffe_id', request.spiffeId),
    serialNumber: givenSerialNumber('serial_number', request.serialNumber),
  }
  const page = askedPage(ListAuditRecordsRequestSchema, request, (place) => /^\d{1,15}$/.test(place))
  const since = givenTime('since', request.since)
  const until = givenTime('until', request.until)
  const { rows, next, searchedTo } = await queries.auditRecords(
    { facts: present(facts), events, ...(since && { since }), ...(until && { until }) },
    page,
  )
  return {
    records: rows.map(recordMessage),
    nextPageToken: page.tokenOf(next),
    ...(searchedTo && { searchedTo: timestampFromDate(searchedTo) }),
  }
}

function present(facts: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(facts).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

function recordMessage({ seq, record, hash }: AuditRecordRow): MessageInitShape<typeof AuditRecordSchema> {
  const { at, event, code } = JSON.parse(record) as Readonly<Record<string, unknown>>
  return {
    sequence: BigInt(seq),
    at: timestampFromDate(new Date(String(at))),
    event: String(event),
    code: typeof code === 'string' ? code : '',
    record,
    hash,
  }
}
