import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { Bundles } from '../workloads/workload.ts'

/** What is trusted, and how far the broker itself has told of it. */
export interface Trust {
  readonly bundles: Bundles
  /** The highest sequence that the broker has said, now or before a restart; 0 before it has said anything. */
  readonly heard: bigint
}

/**
 * The newest bundles that the agent knows of, enforced or not: what the broker is verified with. The broker that they
 * verify has the last word, however high the sequence of a file is: whoever can write a file could otherwise have every
 * pod trust him, and nobody would take it back.
 */
export class HeldTrust {
  readonly #trustDomain: TrustDomain
  readonly #reload: (held: Trust) => Promise<Bundles>
  #bundles: Bundles
  #heard: bigint

  /** @param reload what to trust after a failure: the bootstrap file may have become newer than what is held. */
  constructor(trustDomain: TrustDomain, { bundles, heard }: Trust, reload: (held: Trust) => Promise<Bundles>) {
    this.#trustDomain = trustDomain
    this.#bundles = bundles
    this.#heard = heard
    this.#reload = reload
  }

  get own(): X509Bundle {
    return this.#bundles.own
  }

  /** Takes what came on Sync. @returns false if it is older: a replica that is behind takes nothing back. */
  receive(bundles: Bundles): boolean {
    if (bundles.own.sequence < this.#heard) return false
    this.#bundles = bundles
    this.#heard = bundles.own.sequence
    return true
  }

  /** Takes what came with the own SVID. @throws `IdentityError` `bundle_invalid`. */
  receiveOwn(own: X509Bundle): void {
    if (!own.trustDomain.equals(this.#trustDomain) || own.authorities.length === 0)
      throw new IdentityError('bundle_invalid', `the broker sent no bundle for ${this.#trustDomain}`)
    if (own.sequence < this.#heard) return
    this.#bundles = { ...this.#bundles, own }
    this.#heard = own.sequence
  }

  /** A broker that we no longer believe may be in a newer file. */
  async learnFrom(error: unknown): Promise<void> {
    const code = codeOf(error)
    if (code !== 'chain_untrusted' && code !== 'broker_unavailable') return
    const found = await this.#reload({ bundles: this.#bundles, heard: this.#heard }).catch(() => this.#bundles)
    this.#bundles = found
    // It takes the place of a higher one only where all of that has expired: everything begins anew.
    if (found.own.sequence < this.#heard) this.#heard = 0n
  }
}
