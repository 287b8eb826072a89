import { serialTime } from '../../../core/pki/serial-number.ts'
import { formatDuration } from '../../../core/runtime/duration.ts'
import { ERROR_CODES, isErrorCode } from '../../../core/runtime/error-codes.ts'
import { codeOf, IdentityError } from '../../../core/runtime/errors.ts'
import { stateOf } from '../../ledger/identity-query.ts'
import type { IdentityRow } from '../../ledger/ledger-queries.ts'
import type { PodEvidence } from './evidence.ts'
import { failed, ok, skipped, type Step, undecided, unknown } from './step.ts'

/** A pod that has asked for nothing by then never will: kubelet mounts volumes within seconds. */
const ASKED_WITHIN_MS = 2 * 60_000
/** What kubelet's back-off and the jitter of renewals make of "half of its life" at most (design §10). */
const RENEWAL_SLACK_MS = 5 * 60_000

const ABOUT_TEMPLATES = new Set<string>(['template_not_matched', 'template_ambiguous', 'object_invalid'])
/** Codes that a ServiceAccount or pod that is gone also leads to, told of in a step of its own. */
const NOT_FOUND_OUT = new Set<string>(['kubernetes_unavailable', 'kubernetes_forbidden', 'internal'])

export function templateStep({ registration: { reasons, identity, refusal } }: PodEvidence): Step {
  const said = reasons.length === 0 ? '' : ` ${reasons.join(' ')}`
  if (identity) return ok('template', `The template ${identity.template} applies.${said}`)
  const code = codeOf(refusal)
  if (NOT_FOUND_OUT.has(code)) return unknown('template', 'Which template applies could not be found out', refusal)
  if (!ABOUT_TEMPLATES.has(code)) return ok('template', `A template applies, and cannot be filled.${said}`)
  return failed('template', `${sentence(refusal)}${said}`, { code })
}

export function identityStep({ registration: { identity, refusal } }: PodEvidence): Step {
  if (!identity) {
    const code = codeOf(refusal)
    if (ABOUT_TEMPLATES.has(code) || NOT_FOUND_OUT.has(code)) {
      return skipped('identity', 'Without a template there is no identity to fill.')
    }
    return failed('identity', sentence(refusal), { code })
  }
  const { id, ttlMs, keyType, dnsNames } = identity
  const dns = dnsNames.length === 0 ? '' : `, DNS names ${dnsNames.join(', ')}`
  return ok(
    'identity',
    `It gives the pod ${id.toString()}: SVIDs that live ${formatDuration(ttlMs)}, keys of type ${keyType}${dns}.`,
  )
}

export function deniedStep({ registration: { identity } }: PodEvidence): Step {
  if (!identity) return skipped('denied', 'There is no identity that could be revoked.')
  return ok('denied', 'The identity is not revoked (revocations are not served yet).')
}

export function issuedStep({ pod, identities, now, registration }: PodEvidence): Step {
  if (identities.is !== 'there') {
    return unknown(
      'issued',
      'What was issued to it could not be found out',
      identities.is === 'unknown' && identities.error,
    )
  }
  const { rows, searchedTo } = identities.value
  const valid = validOf(rows, now)
  if (valid) {
    const other = registration.identity && registration.identity.id.toString() !== valid.spiffeId
    const change = other ? ` At its next renewal it becomes ${registration.identity?.id.toString()}.` : ''
    return ok(
      'issued',
      `It holds ${valid.spiffeId}: SVID ${valid.serialNumber}, valid until ${valid.notAfter.toISOString()}.${change}`,
    )
  }
  const newest = rows.find(({ outcome }) => outcome !== 'failed')
  if (newest && stateOf(newest, now) === 'ended') {
    const endedAt = newest.endedAt?.toISOString() ?? ''
    return failed(
      'issued',
      `Its last SVID ${newest.serialNumber} has ended: the agent took its volume away at ${endedAt}.`,
      {
        remedy: 'If the pod is not being deleted, look at the log of the agent of its node.',
      },
    )
  }
  if (newest) {
    return failed('issued', `Its last SVID ${newest.serialNumber} has expired at ${newest.notAfter.toISOString()}.`, {
      code: 'identity_expired',
    })
  }
  if (rows.length > 0) {
    return failed('issued', 'SVIDs were about to be signed for it, and were not: the broker could not sign.', {
      code: 'authority_unavailable',
    })
  }
  if (searchedTo) {
    return undecided(
      'issued',
      `No SVID of it was found back to ${searchedTo.toISOString()}; the ledger is too long to look at all of it.`,
    )
  }
  return neverIssued(pod.createdAt, now)
}

function neverIssued(createdAt: Date, now: Date): Step {
  const none = 'No SVID was ever issued to it'
  if (now.getTime() - createdAt.getTime() < ASKED_WITHIN_MS) {
    return undecided('issued', `${none}; it was made ${formatDuration(age(createdAt, now))} ago.`)
  }
  return failed('issued', `${none}.`, {
    remedy:
      'See what kubelet says: kubectl describe pod, and kubectl get csidriver csi.countersign.dev. Without a refusal ' +
      'below, no agent has asked for it: `countersign check` says whether the driver is registered on its node.',
  })
}

/** A refusal that an SVID was issued after is over. */
export function refusalsStep({ refusals, identities, now }: PodEvidence): Step {
  if (refusals.is !== 'there') {
    return unknown(
      'refusals',
      'What was refused to it could not be found out',
      refusals.is === 'unknown' && refusals.error,
    )
  }
  const [newest] = refusals.value.rows
  if (!newest) return ok('refusals', 'Nothing was refused to it.')
  const when = `${formatDuration(age(newest.at, now))} ago`
  const rows = identities.is === 'there' ? identities.value.rows : []
  const issued = rows.find(({ outcome }) => outcome !== 'failed')
  const issuedAt = issued && serialTime(issued.serialNumber)
  if (issuedAt && issuedAt > newest.at) {
    return ok('refusals', `The last refusal (${newest.code}) was ${when}, and an SVID was issued since.`)
  }
  const meaning = isErrorCode(newest.code) ? ` ${ERROR_CODES[newest.code].meaning}` : ''
  const reason = newest.reason === '' ? '' : ` (${newest.reason})`
  return failed('refusals', `The broker refused it ${when}: ${newest.code}${reason}.${meaning}`, {
    ...(isErrorCode(newest.code)
      ? { code: newest.code }
      : { remedy: 'Look the code up in docs/errors.md of the version that the broker had then.' }),
  })
}

export function renewalStep(evidence: PodEvidence): Step {
  const renewal = nextRenewal(evidence)
  if (!renewal) return skipped('renewal', 'There is no valid SVID to renew.')
  const { now } = evidence
  if (evidence.pod.isBeingDeleted) return skipped('renewal', 'The pod is being deleted: nothing is renewed any more.')
  if (renewal.getTime() + RENEWAL_SLACK_MS >= now.getTime()) {
    return ok('renewal', `It is renewed at about ${renewal.toISOString()}, when half of its life is over.`)
  }
  return failed('renewal', `It should have been renewed at about ${renewal.toISOString()}, and was not.`, {
    remedy: 'Look at the steps above that failed, and at the log of the agent of its node.',
  })
}

/** Half of what was left when it was received (design §3.5); `undefined` without a valid SVID. */
export function nextRenewal({ identities, now }: PodEvidence): Date | undefined {
  const valid = identities.is === 'there' ? validOf(identities.value.rows, now) : undefined
  const issuedAt = valid && serialTime(valid.serialNumber)
  return valid && issuedAt && new Date((issuedAt.getTime() + valid.notAfter.getTime()) / 2)
}

/** The newest that is valid; a pod with several volumes has several. */
export function validOf(rows: readonly IdentityRow[], now: Date): IdentityRow | undefined {
  return rows.find((row) => stateOf(row, now) === 'valid')
}

function sentence(error: unknown): string {
  const text = error instanceof IdentityError ? error.message : 'The broker failed; its log has why'
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

function age(since: Date, now: Date): number {
  return Math.max(0, Math.floor((now.getTime() - since.getTime()) / 1000) * 1000)
}
