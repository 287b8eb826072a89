import { parseCertificate } from '../../core/pki/certificate.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { leadsTo } from './bundle-comparison.ts'
import type { HeldWorkload } from './held-workload.ts'
import { leftMs } from './lifetime.ts'
import { obtainSvid } from './obtain-svid.ts'
import type { BrokerPort, Lifetime } from './ports.ts'
import type { Urgency } from './svid-issuing.ts'
import type { Bundles, SvidMaterial } from './workload.ts'

interface Dependencies {
  readonly broker: Pick<BrokerPort, 'issue' | 'now'>
  readonly clock: Clock
  /** The bundles in force. */
  readonly bundles: () => Bundles
}

/**
 * For so long an SVID that could not be written is written later: a volume that stays full must not cost the broker a
 * signature with each attempt, and a workload that is denied meanwhile is to be told of it.
 */
const KEEP_UNWRITTEN_MS = 300_000

/** Obtains SVIDs and has them delivered. Knows which of them are under way, and whose authority is no longer wanted. */
export class Issuances {
  readonly #dependencies: Dependencies
  readonly #underWay = new Set<symbol>()
  /** Subject key identifiers in hex; a handful, and never used again. */
  readonly #tainted = new Set<string>()

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies
  }

  /**
   * Replaces the SVID of `workload`, in its files and on its streams.
   *
   * @throws {@link IdentityError} the broker's refusal, or why it could not be written.
   */
  async renew(workload: HeldWorkload, urgency: Urgency, signal: AbortSignal): Promise<Lifetime> {
    const issuance = Symbol(workload.id)
    this.#underWay.add(issuance)
    try {
      const { svid, lifetime } = (workload.unwritten = await this.#obtain(workload, urgency, signal))
      await workload.deliver(svid, this.#dependencies.bundles)
      workload.unwritten = undefined
      workload.lastFailure = undefined
      return lifetime
    } finally {
      this.#underWay.delete(issuance)
    }
  }

  /** From now on these authorities, named by subject key identifier in hex, are not to be used any longer. */
  taint(authorityKeyIds: ReadonlySet<string>): void {
    for (const id of authorityKeyIds) this.#tainted.add(id)
  }

  /** Whether an SVID is to be replaced whatever its time: its authority is tainted, or withdrawn. */
  isDisowned(svid: SvidMaterial): boolean {
    const isTainted = this.#tainted.size > 0 && this.#tainted.has(authorityOf(svid))
    return isTainted || !leadsTo(svid, this.#dependencies.bundles().own)
  }

  /** @returns whether all that is under way at this moment is over by the time it is asked. */
  underWay(): () => boolean {
    const now = [...this.#underWay]
    return () => !now.some((issuance) => this.#underWay.has(issuance))
  }

  async #obtain(workload: HeldWorkload, urgency: Urgency, signal: AbortSignal) {
    const { broker, clock, bundles } = this.#dependencies
    if (workload.unwritten && this.#isFresh(workload.unwritten)) return workload.unwritten
    const { pod, token, keyType, expiresAtMs } = workload
    if (token === undefined) throw new IdentityError('token_rejected', 'no token came with the volume')
    const issuing = { issue: broker.issue, bundles, now: () => broker.now() }
    const { svid, lifetimeMs, ...obtained } = await obtainSvid(
      { pod, token, keyType, urgency, expiresAtMs },
      issuing,
      signal,
    )
    workload.keyType = obtained.keyType
    const receivedAtMs = clock.monotonicMs()
    const lifetime = { receivedAtMs, expiresAtMs: receivedAtMs + leftMs(lifetimeMs, svid.notAfter, broker.now()) }
    return { svid, lifetime }
  }

  #isFresh({ svid, lifetime: { receivedAtMs, expiresAtMs } }: NonNullable<HeldWorkload['unwritten']>): boolean {
    const ageMs = this.#dependencies.clock.monotonicMs() - receivedAtMs
    return ageMs < Math.min(KEEP_UNWRITTEN_MS, (expiresAtMs - receivedAtMs) / 2) && !this.isDisowned(svid)
  }
}

/** Which authority signed it: its subject key identifier in hex. */
export function authorityOf({ chain }: SvidMaterial): string {
  return parseCertificate(chain[0] ?? new Uint8Array()).authorityKeyIdentifier?.toString('hex') ?? ''
}
