import type { PublishedWorkloads } from '../../agent/csi/published-workloads.ts'
import type { Delivered, WorkloadRequest } from '../../agent/workloads/workload.ts'

/** Gives every workload the same identity, when the test lets it, and hangs up on whoever connects. */
export class FakeWorkloads implements PublishedWorkloads {
  readonly held = new Map<string, WorkloadRequest>()
  readonly tokens: string[] = []
  readonly calls: string[] = []
  /** What an SVID takes: a test may hold it back, or fail it. */
  issue: () => Promise<Delivered>
  readonly #removals = new Map<string, AbortController>()

  constructor(issue: () => Promise<Delivered>) {
    this.issue = issue
  }

  async add(workload: WorkloadRequest): Promise<void> {
    this.calls.push('add')
    this.held.set(workload.id, workload)
    if (workload.token !== undefined) this.tokens.push(workload.token)
    const removal = new AbortController()
    this.#removals.set(workload.id, removal)
    try {
      const gone = new Promise<never>((_, reject) => {
        removal.signal.addEventListener('abort', () => reject(removal.signal.reason as Error))
      })
      await workload.delivery.write(await Promise.race([this.issue(), gone]))
      await this.#listen(workload)
    } catch (error) {
      this.held.delete(workload.id)
      await workload.delivery.remove()
      throw error
    }
  }

  async recover(workload: WorkloadRequest): Promise<void> {
    this.calls.push('recover')
    this.held.set(workload.id, workload)
    try {
      await workload.delivery.read()
      await this.#listen(workload)
    } catch (error) {
      this.held.delete(workload.id)
      await workload.delivery.close()
      throw error
    }
  }

  refreshToken(_id: string, token: string): void {
    this.tokens.push(token)
  }

  async remove(id: string): Promise<void> {
    this.calls.push('remove')
    this.#removals.get(id)?.abort(new Error('removed'))
    await this.held.get(id)?.delivery.remove()
    this.held.delete(id)
  }

  async close(): Promise<void> {
    for (const { delivery } of this.held.values()) await delivery.close()
  }

  #listen({ id, delivery }: WorkloadRequest): Promise<void> {
    return delivery.listen((connection) => connection.end(`you are ${id}\n`))
  }
}
