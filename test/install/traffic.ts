import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '../cluster/base/wait.ts'
import type { Report } from './report.ts'

/** Of all callers together. */
export interface Totals {
  readonly handshakes: number
  readonly failed: number
  readonly resumed: number
  readonly errors: readonly string[]
}

/** How many new handshakes a second there must be while something is done. */
export const LEAST_PER_SECOND = 50
/** After what was done, so that what it broke late is seen too; longer where the callers make up for a busy machine. */
const AFTERMATH_MS = { least: 4_000, most: 15_000 } as const
/** Half of a life of five minutes, and kubelet's way to a new token after an agent's restart. */
const RENEWAL_MS = 280_000

/** Hears from the callers in their pods what they have counted. */
export class Traffic {
  readonly #server: Server
  readonly #reports = new Map<string, Report>()
  readonly #timeline: (Report & { readonly at: number })[] = []

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => {
      socket.on('error', () => socket.destroy())
      createInterface({ input: socket }).on('line', (line) => {
        const report = JSON.parse(line) as Report
        this.#reports.set(report.pod, report)
        this.#timeline.push({ at: performance.now(), ...report })
      })
    })
  }

  static async listen(host: string): Promise<Traffic> {
    const server = createServer().listen(0, host)
    await once(server, 'listening')
    return new Traffic(server)
  }

  get address(): string {
    const { address, port } = this.#server.address() as AddressInfo
    return `${address}:${port}`
  }

  get totals(): Totals {
    const reports = [...this.#reports.values()]
    const sum = (of: 'handshakes' | 'failed' | 'resumed') => reports.reduce((total, report) => total + report[of], 0)
    const errors = reports.flatMap(({ pod, errors }) => errors.map((error) => `${pod}: ${error}`))
    return { handshakes: sum('handshakes'), failed: sum('failed'), resumed: sum('resumed'), errors }
  }

  /** How many new handshakes and failures each caller had in each second since `begin`, to be looked at after a failure. */
  timeline(begin: number): string {
    return this.#timeline
      .filter(({ at }) => at >= begin)
      .map(({ at, pod, handshakes, failed }) => `${((at - begin) / 1000).toFixed(1)} s ${pod} ${handshakes} ${failed}`)
      .join('\n')
  }

  /** Waits until `callers` of them have made handshakes. */
  async flows(callers: number): Promise<void> {
    await waitFor(`handshakes of ${callers} callers`, () => {
      return [...this.#reports.values()].filter(({ handshakes }) => handshakes > 10).length >= callers
    })
  }

  /** Waits until every caller has had a second certificate, and so many others were seen of the services. */
  async renewed(ofServices: number): Promise<void> {
    const look = () => {
      const reports = [...this.#reports.values()]
      const seen = new Set(reports.flatMap(({ theirs }) => theirs))
      return reports.every(({ ours }) => ours.length > 1) && seen.size >= ofServices
    }
    await waitFor('every certificate to be renewed', look, { timeout: RENEWAL_MS, interval: 500 })
  }

  /**
   * Does something under load.
   *
   * @returns what there was meanwhile, in words
   * @throws if a handshake failed or was none, or if there were too few
   */
  async during(action: () => Promise<void>): Promise<string> {
    const [before, begin] = [this.totals, performance.now()]
    await action()
    const tookMs = performance.now() - begin
    await sleep(AFTERMATH_MS.least)
    const rate = () => ((this.totals.handshakes - before.handshakes) * 1000) / (performance.now() - begin)
    const timeout = AFTERMATH_MS.most - AFTERMATH_MS.least
    await waitFor('the callers to catch up', () => rate() >= LEAST_PER_SECOND, { timeout }).catch(() => undefined)
    const [after, perSecond] = [this.totals, rate()]
    const handshakes = after.handshakes - before.handshakes
    const said = `${(tookMs / 1000).toFixed(1)} s; ${handshakes} new handshakes, ${perSecond.toFixed(0)} a second`
    const failed = after.failed - before.failed
    if (failed > 0)
      throw new Error(`${failed} handshakes failed (${said})\n${after.errors.join('\n')}\n${this.timeline(begin)}`)
    if (after.resumed > 0) throw new Error(`${after.resumed} handshakes were resumed sessions`)
    if (perSecond < LEAST_PER_SECOND) throw new Error(`too few handshakes: ${said}`)
    return `${said}, none failed`
  }

  close(): void {
    this.#server.close()
  }
}
