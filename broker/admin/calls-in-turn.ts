import { WorkQueue } from '../attestation/work-queue.ts'

/** Of one user. A call asks the ledger two questions at a time at most, and all others wait for each of them. */
const BOUNDS = { maxConcurrent: 2, maxQueued: 100, fullMessage: 'too many calls of one user wait for their answer' }

/** Answers a few calls of one user at a time, so that those of another do not wait for all of them. */
export class CallsInTurn {
  readonly #ofUsers = new Map<string, WorkQueue>()

  /** @throws What `answer` throws; `IdentityError` `overloaded`; the reason of `signal`, if that is aborted before. */
  async run<T>(user: string, answer: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const queue = this.#ofUsers.get(user) ?? new WorkQueue(BOUNDS)
    this.#ofUsers.set(user, queue)
    try {
      return await queue.run(answer, signal)
    } finally {
      if (queue.isIdle) this.#ofUsers.delete(user)
    }
  }
}
