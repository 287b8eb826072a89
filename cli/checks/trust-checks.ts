import { timestampDate } from '@bufbuild/protobuf/wkt'
import { formatDuration } from '../../core/runtime/duration.ts'
import { AuthorityState, AuthorityStateSchema, type Authority } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { TRUST_BUNDLE } from '../installation/names.ts'
import { type Check, count, fail, type Finding, judged, pass, valueOf, warn } from './check.ts'
import type { InstalledFacts } from './facts.ts'

const CONFIG_MAP = `${TRUST_BUNDLE.namespace}/${TRUST_BUNDLE.name}`
/** Rotation begins at half of life; what signs in its last sixth is late. */
const LATE = 1 / 6

/** The trust bundle and the authorities. */
export const TRUST_CHECKS: readonly Check<InstalledFacts>[] = [
  {
    id: 'trust-bundle',
    category: 'trust',
    title: 'the trust bundle is where agents look for it',
    about:
      'An agent that starts for the first time knows the broker by this ConfigMap, which the broker keeps current.',
    run: ({ trustBundle, status, authorities }) =>
      judged(trustBundle, (found) => {
        const remedy = `The broker writes it (bundle.configMaps): see its problems; it needs get, create and update on the ConfigMap ${CONFIG_MAP}.`
        if (!found) return fail(`there is no ConfigMap ${CONFIG_MAP} with the key ${TRUST_BUNDLE.key}`, remedy)
        const held = new Set(found.bundle.authorities.map(({ der }) => der.toString('base64')))
        const anchors = (valueOf(authorities)?.authorities ?? []).map(({ certificate, chain }) =>
          chain.length === 0 ? certificate : undefined,
        )
        const missing = anchors.filter((der) => der !== undefined && !held.has(Buffer.from(der).toString('base64')))
        if (missing.length > 0)
          return fail(
            `the ConfigMap lacks ${count(missing.length, 'authority', 'authorities')} that the broker has`,
            remedy,
          )
        const current = valueOf(status)?.bundleSequence
        const { sequence, authorities: anchorsHeld } = found.bundle
        if (current !== undefined && sequence !== 0n && sequence > current)
          return fail(
            `the ConfigMap has sequence ${sequence} and the broker only ${current}: its ledger was lost or rolled back`,
            'Restore the newest back-up of the ledger: docs/operations.md. Agents refuse to go back.',
          )
        return pass(`${count(anchorsHeld.length, 'authority', 'authorities')}, sequence ${sequence}`)
      }),
  },
  {
    id: 'authorities',
    category: 'trust',
    title: 'an authority signs, and none ends before its successor is ready',
    about:
      'Authorities rotate by themselves: prepared at half of life, active once every agent trusts it, old until its last leaf has ended.',
    run: ({ authorities, now }) =>
      judged(authorities, ({ authorities: all }) => {
        const active = all.find(({ state }) => state === AuthorityState.ACTIVE)
        if (!active?.notAfter || !active.notBefore)
          return fail(
            'no authority signs: nothing is issued or renewed',
            'See the problems of the broker and its log.',
            all.map((each) => described(each, now)),
          )
        const left = timestampDate(active.notAfter).getTime() - now.getTime()
        const life = timestampDate(active.notAfter).getTime() - timestampDate(active.notBefore).getTime()
        const findings = all.map((each) => described(each, now))
        if (left <= 0)
          return fail(
            'the authority that signs has expired',
            'See the problems of the broker and its log; restart it if nothing changes.',
            findings,
          )
        if (left < life * LATE)
          return warn(
            `the authority that signs ends in ${formatDuration(left)}, and its successor is not active yet`,
            'See what it waits for below: the agents of these nodes, mostly. It is activated before the end whatever happens.',
            findings,
          )
        return pass(`the active one ends in ${roughly(left)}; ${count(all.length, 'authority', 'authorities')} in all`)
      }),
  },
]

function described({ keyId, state, notAfter, activation }: Authority, now: Date): Finding {
  const ends = notAfter ? `ends in ${roughly(timestampDate(notAfter).getTime() - now.getTime())}` : ''
  const waiting =
    activation && activation.waitingForCount > 0 ? `, waits for ${activation.waitingForNodes.join(', ')}` : ''
  return {
    subject: keyId.slice(0, 16),
    reason: `${(AuthorityStateSchema.value[state]?.localName ?? '').toLowerCase()}, ${ends}${waiting}`,
  }
}

/** To the minute, and without the rest once it is days. */
export function roughly(milliseconds: number): string {
  if (milliseconds <= 0) return 'no time'
  const unit = milliseconds >= 2 * 86_400_000 ? 3_600_000 : milliseconds >= 7_200_000 ? 60_000 : 1_000
  return formatDuration(Math.floor(milliseconds / unit) * unit)
}
