import { issuerOf } from '../../core/pki/certificate-builder.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { authorityViolations } from '../../core/spiffe/x509-svid-rules.ts'
import { type X509Bundle, x509Bundle } from '../../core/spiffe/bundle.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { activeOf, anchorsOf, type AuthoritySlot, type Slots, withSlots } from './authority-slot.ts'
import type { AuthoritySource, SigningAuthorities, SigningAuthority } from './authority.ts'
import type { KeyWrap } from './key-wrap.ts'
import { activated, allowing, nextStep, type RotationPolicy, type RotationStep, waitsForGate } from './rotation.ts'
import { slotsFromDocument, slotsToDocument } from './slot-document.ts'

/** `notBefore` of authorities and leaves lies this far back, for clocks that are behind (design §10). */
export const BACKDATE_MS = 60_000

/** Where the authorities outlive the process. */
export interface DocumentStore {
  load(): Promise<string | undefined>
  save(document: string): Promise<void>
}

interface Dependencies {
  readonly store: DocumentStore
  readonly source: AuthoritySource
  readonly keyWrap: KeyWrap
  readonly clock: Clock
  /** The nodes that hold something and have not acknowledged the bundle of this sequence yet. */
  readonly unacknowledged: (bundleSequence: number) => Promise<readonly string[]>
}

export interface AuthoritiesOptions {
  readonly trustDomain: TrustDomain
  readonly policy: RotationPolicy
  readonly refreshHintSeconds: number
}

/** What a look at the authorities led to. */
export interface RotationOutcome {
  readonly step: RotationStep | undefined
  /** Nodes that an activation waits for. */
  readonly waitingFor: readonly string[]
}

/**
 * The authorities of this trust domain. Every change is in the store before it takes effect, so that a crash between the
 * two repeats a step and never loses one.
 */
export class Authorities implements SigningAuthorities {
  readonly #deps: Dependencies
  readonly #options: AuthoritiesOptions
  #state: Slots
  #bundle: X509Bundle
  /** A slot that changes is a new one. */
  readonly #signing = new WeakMap<AuthoritySlot, SigningAuthority>()

  /**
   * What the policy newly allows is in the store as well then, before anything is signed under it.
   *
   * @throws `IdentityError` `store_*`, `key_store_locked`; `config_invalid` for those of another trust domain.
   */
  static async load(deps: Dependencies, options: AuthoritiesOptions): Promise<Authorities> {
    const document = await deps.store.load()
    const state =
      document === undefined ? { slots: [], bundleSequence: 0 } : await slotsFromDocument(document, deps.keyWrap)
    checkTrustDomain(state.slots, options.trustDomain)
    const authorities = new Authorities(deps, options, state)
    const slots = allowing(state.slots, options.policy)
    if (slots !== state.slots) await authorities.#replace(slots, deps.clock.now())
    return authorities
  }

  private constructor(deps: Dependencies, options: AuthoritiesOptions, state: Slots) {
    this.#deps = deps
    this.#options = options
    this.#state = state
    this.#bundle = this.#bundleOf(state)
  }

  /** What to trust now. A new object whenever, and only when, it has changed. */
  get bundle(): X509Bundle {
    return this.#bundle
  }

  get slots(): readonly AuthoritySlot[] {
    return this.#state.slots
  }

  signing(at: Date): SigningAuthority {
    const slot = this.#state.slots
      .filter(({ state }) => state !== 'prepared')
      // The active one; where the clock has jumped back to before it began, the one before it still serves.
      .sort((one, other) => Number(other.state === 'active') - Number(one.state === 'active'))
      .find(({ certificate }) => certificate.notBefore <= at && at < certificate.notAfter)
    if (!slot) {
      throw new IdentityError('authority_unavailable', 'no authority may sign at this time; try again', {
        retryAfterMs: 5000,
      })
    }
    const known = this.#signing.get(slot)
    if (known) return known
    const authority: SigningAuthority = {
      keyId: slot.keyId,
      issuer: issuerOf(slot.certificate, slot.privateKey),
      notBefore: slot.certificate.notBefore,
      // Of an old one that serves once more, nothing outlives the trust in it.
      notAfter: slot.trustedUntil ?? slot.certificate.notAfter,
      chain: slot.chain.map(({ der }) => der),
    }
    this.#signing.set(slot, authority)
    return authority
  }

  /** Takes the one step that is due, if any. Not to be called again before it has answered. */
  async rotate(): Promise<RotationOutcome> {
    const { slots } = this.#state
    const waitingFor = waitsForGate(slots) ? await this.waitingFor() : []
    const now = this.#deps.clock.now()
    const step = nextStep(slots, now, this.#options.policy, waitingFor.length === 0)
    if (step) await this.#replace(await this.#take(step, now), now)
    return { step, waitingFor }
  }

  /** The nodes that hold something and have not acknowledged the bundle yet. */
  waitingFor(): Promise<readonly string[]> {
    return this.#deps.unacknowledged(this.#state.bundleSequence)
  }

  async #take(step: RotationStep, now: Date): Promise<readonly AuthoritySlot[]> {
    const { slots } = this.#state
    switch (step.do) {
      case 'prepare':
        return [...slots, await this.#prepare(now)]
      case 'activate':
        return activated(slots, step.keyId, now, this.#options.policy)
      case 'retire':
        return slots.filter(({ keyId }) => keyId !== step.keyId)
    }
  }

  async #prepare(now: Date): Promise<AuthoritySlot> {
    const { privateKey, certificate, chain, anchor } = await this.#deps.source.make({
      notBefore: new Date(now.getTime() - BACKDATE_MS),
      notAfter: new Date(now.getTime() + this.#options.policy.lifetimeMs),
    })
    const [violation] = authorityViolations(certificate)
    if (violation) throw new TypeError(`the new authority is not as it should be: ${violation}`)
    return {
      keyId: certificate.subjectKeyIdentifier?.toString('hex') ?? '',
      state: 'prepared',
      certificate,
      chain,
      anchor,
      privateKey,
      preparedAt: now,
      longestLeafMs: undefined,
      trustedUntil: undefined,
    }
  }

  async #replace(slots: readonly AuthoritySlot[], now: Date): Promise<void> {
    const next = withSlots(this.#state, slots, now)
    await this.#deps.store.save(await slotsToDocument(next, this.#deps.keyWrap))
    const hasNewBundle = next.bundleSequence !== this.#state.bundleSequence
    this.#state = next
    if (hasNewBundle) this.#bundle = this.#bundleOf(next)
  }

  #bundleOf({ slots, bundleSequence }: Slots): X509Bundle {
    const { trustDomain, refreshHintSeconds } = this.#options
    return x509Bundle(trustDomain, anchorsOf(slots), { sequence: BigInt(bundleSequence), refreshHintSeconds })
  }

  /** Since when, and until when, the active authority signs; for metrics. */
  get active(): AuthoritySlot | undefined {
    return activeOf(this.#state.slots)
  }
}

/** An authority vouches for one trust domain alone, and under another name it would vouch for both. */
function checkTrustDomain(slots: readonly AuthoritySlot[], { id }: TrustDomain): void {
  const other = slots.flatMap(({ certificate }) => certificate.uris).find((uri) => uri !== id)
  if (other === undefined) return
  const why = `the authorities in the ledger are of ${other}, and trustDomain (--trust-domain) says ${id}`
  const wayOut = 'set it back, or begin another trust domain with a ledger of its own'
  throw new IdentityError('config_invalid', `${why}; ${wayOut}`)
}
