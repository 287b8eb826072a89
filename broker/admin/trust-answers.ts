import type { MessageInitShape } from '@bufbuild/protobuf'
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt'
import { encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import {
  AuthorityState,
  type AuthoritySchema,
  type GetBundleResponseSchema,
  type ListAuthoritiesResponseSchema,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { AuthoritySlot } from '../ca/authority-slot.ts'
import type { RotationSchedule } from '../ca/rotation-schedule.ts'

const MAX_NODES = 100
const STATES = {
  prepared: AuthorityState.PREPARED,
  active: AuthorityState.ACTIVE,
  old: AuthorityState.OLD,
} as const

/** `GetBundle`. */
export function getBundle(bundle: X509Bundle): MessageInitShape<typeof GetBundleResponseSchema> {
  const { trustDomain, authorities, sequence, refreshHintSeconds } = bundle
  return {
    trustDomain: trustDomain.toString(),
    x509Authorities: authorities.map(({ der }) => der),
    sequence,
    document: encodeBundleDocument({ x509: bundle, jwtAuthorities: [] }),
    ...(refreshHintSeconds !== undefined && { refreshHint: durationFromMs(refreshHintSeconds * 1000) }),
  }
}

/**
 * `ListAuthorities`.
 *
 * @param waitingFor nodes that have not acknowledged the bundle, where that is waited for.
 */
export function listAuthorities(
  slots: readonly AuthoritySlot[],
  { preparation, activation }: RotationSchedule,
  waitingFor: readonly string[],
): Pick<MessageInitShape<typeof ListAuthoritiesResponseSchema>, 'authorities' | 'nextPreparation'> {
  return {
    authorities: slots.map((slot) => authorityMessage(slot, activation, waitingFor)),
    ...(preparation && { nextPreparation: timestampFromDate(preparation) }),
  }
}

function authorityMessage(
  { keyId, state, certificate, chain, preparedAt, trustedUntil }: AuthoritySlot,
  activation: RotationSchedule['activation'],
  waitingFor: readonly string[],
): MessageInitShape<typeof AuthoritySchema> {
  return {
    keyId,
    state: STATES[state],
    certificate: certificate.der,
    chain: chain.map(({ der }) => der),
    notBefore: timestampFromDate(certificate.notBefore),
    notAfter: timestampFromDate(certificate.notAfter),
    preparedAt: timestampFromDate(preparedAt),
    ...(trustedUntil && { trustedUntil: timestampFromDate(trustedUntil) }),
    ...(activation?.keyId === keyId && {
      activation: {
        earliest: timestampFromDate(activation.earliest),
        ...(activation.forcedAt && { forcedAt: timestampFromDate(activation.forcedAt) }),
        waitingForNodes: waitingFor.toSorted().slice(0, MAX_NODES),
        waitingForCount: waitingFor.length,
      },
    }),
  }
}
