import { IdentityError, codeOf } from '../core/runtime/errors.ts'
import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import type { X509Bundle } from '../core/spiffe/bundle.ts'
import { RevisionKind } from '../proto/gen/countersign/node/v1/node_pb.ts'
import { bundleMessage } from './api/messages.ts'
import { loadAuthorities } from './authority-parts.ts'
import { keepRotating, type RotationEvents, rotateNow } from './authority-rotation.ts'
import type { BrokerEnvironment } from './environment.ts'
import { writeBundleFile } from './bundle-file.ts'
import type { Authorities, RotationOutcome } from './ca/authorities.ts'
import type { KeyWrap } from './ca/key-wrap.ts'
import type { BrokerConfig } from './config.ts'
import type { Ledger } from './ledger/ledger.ts'
import type { BROKER_METRICS } from './metrics.ts'
import { withPatience } from './patience.ts'
import type { Readiness } from './readiness.ts'
import type { SyncHub } from './sync/sync-hub.ts'

interface Parts {
  readonly environment: BrokerEnvironment
  readonly readiness: Readiness
  readonly lifecycle: Lifecycle
  readonly metrics: Metrics<typeof BROKER_METRICS>
  /** Where they are kept, and with what key. */
  readonly keeping: { readonly ledger: Ledger; readonly keyWrap: KeyWrap }
  readonly hub: SyncHub
  /** Brings a bundle to where agents begin with it; returns at once. */
  readonly publishBundle: (bundle: X509Bundle) => void
}

/** The authorities, rotating; everybody hears of each new bundle. */
export class AuthorityService implements RotationEvents {
  readonly authorities: Authorities
  readonly #parts: Parts
  readonly #bundleFiles: readonly string[]
  #writing: Promise<void> = Promise.resolve()
  #failure: unknown
  /** Called when another authority signs from now on. */
  onActivated: () => void = () => {}

  constructor(authorities: Authorities, parts: Parts, bundleFiles: readonly string[]) {
    this.authorities = authorities
    this.#parts = parts
    this.#bundleFiles = bundleFiles
  }

  get failure(): unknown {
    return this.#failure
  }

  /** Why nothing can be signed at `now`, or `undefined`. */
  problem(now: Date): string | undefined {
    try {
      this.authorities.signing(now)
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }

  bundle(bundle: X509Bundle): void {
    const { hub, metrics, environment, publishBundle } = this.#parts
    const own = bundleMessage(bundle)
    hub.publish({
      kind: RevisionKind.BUNDLES,
      revision: bundle.sequence,
      state: { case: 'bundles', value: { own } },
    })
    metrics.countersign_broker_bundle_sequence.set(Number(bundle.sequence))
    publishBundle(bundle)
    for (const file of this.#bundleFiles) {
      // One after the other, so that the newest is what stays.
      this.#writing = this.#writing
        .then(() => writeBundleFile(file, bundle))
        .catch((error: unknown) => environment.log.error({ err: error, file }, 'the bundle file cannot be written'))
    }
  }

  /** Resolves once the newest bundle is in its file, or could not be written. */
  written(): Promise<void> {
    return this.#writing
  }

  outcome({ step, waitingFor }: RotationOutcome): void {
    const { metrics, keeping, environment } = this.#parts
    this.#failure = undefined
    metrics.countersign_broker_authority_waiting_nodes.set(step?.do === 'activate' ? 0 : waitingFor.length)
    const notAfter = this.authorities.active?.certificate.notAfter.getTime() ?? 0
    metrics.countersign_broker_authority_not_after_seconds.set(notAfter / 1000)
    if (!step) return
    const keyId = 'keyId' in step ? step.keyId : (this.authorities.slots.at(-1)?.keyId ?? '')
    const bundleSequence = Number(this.authorities.bundle.sequence)
    const forced = step.do === 'activate' && step.forced
    const event = (
      { prepare: 'authority_prepared', activate: 'authority_activated', retire: 'authority_retired' } as const
    )[step.do]
    keeping.ledger.record({
      event,
      keyId,
      bundleSequence,
      ...(forced && { forced, waitingFor: waitingFor.slice(0, 100) }),
    })
    environment.log[forced ? 'warn' : 'info'](
      { step: step.do, keyId, bundleSequence, forced },
      'authorities have changed',
    )
    if (step.do === 'activate') {
      metrics.countersign_broker_authority_activations_total.inc({ gate: forced ? 'forced' : 'open' })
      this.onActivated()
    }
  }

  failed(error: unknown): void {
    this.#failure = error
    this.#parts.metrics.countersign_broker_authority_failures_total.inc({ code: codeOf(error) })
    this.#parts.environment.log.error({ err: error, code: codeOf(error) }, 'authorities could not be rotated')
  }
}

/** Loads the authorities, makes the first one where there is none, and keeps them rotating. */
export async function startAuthorities(config: BrokerConfig, parts: Parts): Promise<AuthorityService> {
  const { environment, readiness, lifecycle, keeping, hub } = parts
  const { clock, random, log } = environment
  const patience = { clock, random, log, readiness, signal: lifecycle.signal }
  const authorities = await withPatience(
    'the authorities',
    () => loadAuthorities(config, { clock, random, keeping, hub }),
    patience,
  )
  const service = new AuthorityService(authorities, parts, config.bundle.files)
  if (authorities.slots.length > 0) service.bundle(authorities.bundle)
  await withPatience('the authorities', () => signingBy(service, clock.now()), patience)
  await service.written()

  const running = keepRotating(
    { authorities, clock, random, events: service },
    config.authority.lifetime,
    lifecycle.signal,
  )
  lifecycle.add('authorities', () => running)
  return service
}

async function signingBy(service: AuthorityService, now: Date): Promise<void> {
  const isDone = await rotateNow({ authorities: service.authorities, events: service })
  // A step that failed does not matter as long as an authority signs.
  if (!isDone && service.problem(now) !== undefined) throw service.failure
  const problem = service.problem(now)
  if (problem !== undefined) throw new IdentityError('authority_unavailable', problem)
}
