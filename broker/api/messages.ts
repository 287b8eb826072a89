import type { MessageInitShape } from '@bufbuild/protobuf'
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import {
  type BundleSchema,
  type RefusalSchema,
  Urgency as WireUrgency,
  type X509SvidRequest,
  type X509SvidResultSchema,
  type X509SvidSchema,
} from '../../proto/gen/countersign/node/v1/node_pb.ts'
import type { X509SvidItem } from '../issuance/batch-shape.ts'
import type { X509SvidOutcome } from '../issuance/issue-x509-svid.ts'
import type { SignedX509Svid } from '../issuance/x509-svid-signer.ts'

/** Between the words of the wire and our own. Nothing is decided here. */

export function itemOf(request: X509SvidRequest): X509SvidItem {
  return {
    requestId: request.requestId,
    token: request.serviceAccountToken,
    csr: request.csr,
    podUid: request.podUid,
    urgency: urgencyOf(request.urgency),
  }
}

function urgencyOf(urgency: WireUrgency): X509SvidItem['urgency'] {
  switch (urgency) {
    case WireUrgency.NEW_POD:
      return 'newPod'
    case WireUrgency.NEAR_EXPIRY:
      return 'nearExpiry'
    default:
      return 'routine'
  }
}

export function svidMessage(svid: SignedX509Svid, hint: string): MessageInitShape<typeof X509SvidSchema> {
  return {
    spiffeId: svid.id.toString(),
    certificateChain: [...svid.chain],
    notAfter: timestampFromDate(svid.notAfter),
    hint,
    lifetime: durationFromMs(svid.lifetimeMs),
  }
}

export function resultMessage(outcome: X509SvidOutcome): MessageInitShape<typeof X509SvidResultSchema> {
  const { requestId } = outcome
  if ('svid' in outcome) {
    return { requestId, outcome: { case: 'svid', value: svidMessage(outcome.svid, outcome.hint) } }
  }
  return { requestId, outcome: { case: 'refusal', value: refusalMessage(outcome.refusal) } }
}

/** As `toStatus` does for whole calls: what is no `IdentityError` is told as `internal`, with no detail. */
function refusalMessage(error: unknown): MessageInitShape<typeof RefusalSchema> {
  const { code, message, retryAfterMs, facts } =
    error instanceof IdentityError ? error : new IdentityError('internal', 'internal error')
  return {
    code,
    message,
    facts: { ...facts },
    ...(retryAfterMs !== undefined && { retryAfter: durationFromMs(Math.ceil(retryAfterMs)) }),
  }
}

export function bundleMessage(bundle: X509Bundle): MessageInitShape<typeof BundleSchema> {
  return {
    trustDomain: bundle.trustDomain.toString(),
    x509Authorities: bundle.authorities.map(({ der }) => der),
    sequence: bundle.sequence,
    ...(bundle.refreshHintSeconds !== undefined && { refreshHint: durationFromMs(bundle.refreshHintSeconds * 1000) }),
  }
}
