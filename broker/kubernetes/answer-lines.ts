import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../core/runtime/clock.ts'

/** What a streamed answer may do. */
export interface StreamBounds {
  /** After so long without a byte the connection counts as dead. */
  readonly idleMs: number
  readonly maxLineBytes: number
}

const NEW_LINE = 0x0a

/**
 * The lines of an answer as they come; returns where the server ends it between two lines.
 *
 * @throws Error if the connection is lost, ends within a line, or breaks a bound.
 */
export async function* answerLines(
  response: IncomingMessage,
  { idleMs, maxLineBytes }: StreamBounds,
  clock: Clock,
): AsyncGenerator<string> {
  const watchdog = new Watchdog(response, idleMs, clock)
  let rest: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      watchdog.pause()
      let from = 0
      for (let end = chunk.indexOf(NEW_LINE); end !== -1; end = chunk.indexOf(NEW_LINE, from)) {
        const line = Buffer.concat([...rest, chunk.subarray(from, end)])
        if (line.length > maxLineBytes) throw lineTooLong(maxLineBytes)
        rest = []
        size = 0
        from = end + 1
        if (line.length > 0) yield line.toString('utf8')
      }
      if (from < chunk.length) {
        // A copy: the chunk that it is a part of may be large.
        rest.push(Buffer.from(chunk.subarray(from)))
        size += chunk.length - from
        if (size > maxLineBytes) throw lineTooLong(maxLineBytes)
      }
      watchdog.resume()
    }
    if (size > 0) throw new Error('the answer ends in the middle of a line')
  } catch (error) {
    throw watchdog.barked ? new Error(`nothing came for ${idleMs} ms`, { cause: error }) : error
  } finally {
    watchdog.stop()
    response.destroy()
  }
}

const lineTooLong = (maxLineBytes: number) => new Error(`a line is longer than ${maxLineBytes} bytes`)

/** Ends a connection on which nothing comes. The time that its reader takes does not count. */
class Watchdog {
  readonly #done = new AbortController()
  #seenAtMs: number
  #paused = false
  barked = false
  readonly #clock: Clock

  constructor(response: IncomingMessage, idleMs: number, clock: Clock) {
    this.#clock = clock
    this.#seenAtMs = clock.monotonicMs()
    void this.#run(response, idleMs).catch(() => {})
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#seenAtMs = this.#clock.monotonicMs()
  }

  stop(): void {
    this.#done.abort()
  }

  async #run(response: IncomingMessage, idleMs: number): Promise<void> {
    for (;;) {
      const leftMs = this.#paused ? idleMs : this.#seenAtMs + idleMs - this.#clock.monotonicMs()
      if (leftMs <= 0) break
      await this.#clock.sleep(leftMs, this.#done.signal)
    }
    this.barked = true
    response.destroy(new Error('idle'))
  }
}
