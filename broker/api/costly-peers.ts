import { parseCertificate } from '../../core/pki/certificate.ts'
import { MAX_CHAIN } from '../../core/pki/chain.ts'
import { isVerificationKey } from '../../core/pki/verification-key.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { addressKey } from './peer-slots.ts'

/** A ClientHello with a hybrid key share has 2 KiB: who fails beyond this has shown certificates. */
const HELLO_BYTES = 4 * 1024
/** No chain of ours comes near: what is larger was made to be dear, and is not even read. */
const LARGE_HANDSHAKE_BYTES = 16 * 1024
const FAILURES_ALLOWED = 8
const KEPT_OUT_MS = 30_000
const MAX_ADDRESSES = 4096

/**
 * Addresses whose handshakes have been dear, or that flood. OpenSSL verifies whatever chain a client sends before anybody
 * else sees it, up to 430 ms of the main thread for 80 certificates with keys made for it, and nothing in Node limits
 * that. What can be done is to let such a peer do it once.
 */
export class CostlyPeers {
  readonly #clock: Clock
  readonly #failures = new Map<string, { readonly count: number; readonly until: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  isKeptOut(peer: string | undefined): boolean {
    const failures = this.#failures.get(addressKey(peer))
    return failures !== undefined && failures.count >= FAILURES_ALLOWED && failures.until > this.#clock.monotonicMs()
  }

  /** A handshake that came to nothing. */
  failed(peer: string | undefined, bytesRead: number): void {
    if (bytesRead > LARGE_HANDSHAKE_BYTES) this.#add(peer, FAILURES_ALLOWED)
    else if (bytesRead > HELLO_BYTES) this.#add(peer, 1)
  }

  /**
   * A handshake that is done.
   *
   * @returns whether anybody should look at its certificates.
   */
  proved(peer: string | undefined, chain: readonly Uint8Array[]): boolean {
    const isLarge = chain.reduce((bytes, { length }) => bytes + length, 0) > LARGE_HANDSHAKE_BYTES
    if (isLarge || isCostly(chain)) this.#add(peer, FAILURES_ALLOWED)
    return !isLarge
  }

  /** A connection on which more came than is of use to anybody. */
  flooded(peer: string | undefined): void {
    this.#add(peer, FAILURES_ALLOWED)
  }

  #add(peer: string | undefined, failures: number): void {
    const address = addressKey(peer)
    const now = this.#clock.monotonicMs()
    const before = this.#failures.get(address)
    const count = (before && before.until > now ? before.count : 0) + failures
    this.#failures.delete(address)
    this.#failures.set(address, { count, until: now + KEPT_OUT_MS })
    const [longestAgo] = this.#failures.keys()
    if (this.#failures.size > MAX_ADDRESSES && longestAgo !== undefined) this.#failures.delete(longestAgo)
  }
}

/** Longer than any that is believed, or with keys that nothing is verified with here. */
function isCostly([, ...issuers]: readonly Uint8Array[]): boolean {
  if (issuers.length >= MAX_CHAIN) return true
  try {
    return !issuers.every((der) => isVerificationKey(parseCertificate(der).spki))
  } catch {
    return true
  }
}
