import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { Bundles } from '../workloads/workload.ts'

/** The newest bundles that the agent knows of, enforced or not: what the broker is verified with. */
export class HeldTrust {
  readonly #trustDomain: TrustDomain
  readonly #reload: (held: Bundles) => Promise<Bundles>
  #bundles: Bundles

  /** @param reload what to trust after a failure: the bootstrap file may have become newer than what is held. */
  constructor(trustDomain: TrustDomain, bundles: Bundles, reload: (held: Bundles) => Promise<Bundles>) {
    this.#trustDomain = trustDomain
    this.#bundles = bundles
    this.#reload = reload
  }

  get own(): X509Bundle {
    return this.#bundles.own
  }

  /** Takes what came on Sync. @returns false if it is older: a replica that is behind takes nothing back. */
  receive(bundles: Bundles): boolean {
    if (bundles.own.sequence < this.own.sequence) return false
    this.#bundles = bundles
    return true
  }

  /** Takes what came with the own SVID. @throws `IdentityError` `bundle_invalid`. */
  receiveOwn(own: X509Bundle): void {
    if (!own.trustDomain.equals(this.#trustDomain) || own.authorities.length === 0)
      throw new IdentityError('bundle_invalid', `the broker sent no bundle for ${this.#trustDomain}`)
    if (own.sequence >= this.own.sequence) this.#bundles = { ...this.#bundles, own }
  }

  /** A broker that we no longer believe may be in a newer file. */
  async learnFrom(error: unknown): Promise<void> {
    const code = codeOf(error)
    if (code !== 'chain_untrusted' && code !== 'broker_unavailable') return
    this.#bundles = await this.#reload(this.#bundles).catch(() => this.#bundles)
  }
}
