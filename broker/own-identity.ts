import { backoffMs } from '../core/runtime/backoff.ts'
import type { Clock } from '../core/runtime/clock.ts'
import type { Random } from '../core/runtime/random.ts'
import type { BrokerIdentity } from './issuance/broker-identity.ts'

const RETRY = { firstMs: 500, maxMs: 60_000 }
/** The wall clock may jump: how long is left is looked at this often. */
const LONGEST_SLEEP_MS = 60_000

interface Dependencies {
  readonly clock: Clock
  readonly random: Random
  readonly issue: () => Promise<BrokerIdentity>
  readonly onFailed: (error: unknown) => void
}

/** Keeps the broker's own SVID fresh: renewed in place at half of its life, or as soon as it is asked for. */
export class OwnIdentity {
  readonly #deps: Dependencies
  #current: BrokerIdentity
  #renewAt: number
  #wake = new AbortController()
  readonly #shownBy: ((identity: BrokerIdentity) => void)[] = []

  constructor(first: BrokerIdentity, deps: Dependencies) {
    this.#deps = deps
    this.#current = first
    this.#renewAt = halfOf(first, deps.clock)
  }

  get current(): BrokerIdentity {
    return this.#current
  }

  /** `show` hears of each new one, to show it from then on. */
  onRenewed(show: (identity: BrokerIdentity) => void): void {
    this.#shownBy.push(show)
  }

  /** Does not wait for the half: another authority signs now. */
  renewSoon(): void {
    this.#renewAt = 0
    this.#wake.abort()
  }

  async keepFresh(signal: AbortSignal): Promise<void> {
    const { clock, random, issue, onFailed } = this.#deps
    let failures = 0
    while (!signal.aborted) {
      const left = this.#renewAt - clock.now().getTime()
      const pause = failures > 0 ? backoffMs(failures, RETRY, random) : Math.min(left, LONGEST_SLEEP_MS)
      if (pause > 0) {
        await clock.sleep(pause, AbortSignal.any([signal, this.#wake.signal])).catch(() => {})
        this.#wake = new AbortController()
        if (failures === 0) continue
      }
      if (signal.aborted) return
      try {
        this.#current = await issue()
        this.#renewAt = halfOf(this.#current, clock)
        failures = 0
        for (const show of this.#shownBy) show(this.#current)
      } catch (error) {
        failures += 1
        onFailed(error)
      }
    }
  }
}

function halfOf({ lifetimeMs }: BrokerIdentity, clock: Clock): number {
  return clock.now().getTime() + lifetimeMs / 2
}
