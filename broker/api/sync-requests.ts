import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { SyncRequest } from '../../proto/gen/countersign/node/v1/node_pb.ts'

/** How long a stream may stay silent before its Hello. */
const HELLO_TIMEOUT_MS = 10_000

interface Reader {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Told of every message, the Hello included; throws to refuse it. */
  readonly hear: (message: SyncRequest['message']) => void
}

/**
 * Reads the agent's side of a Sync stream: a Hello first and once, then whatever comes.
 *
 * @returns once the Hello is there; `ended` settles when the agent ends its side, or rejects with what was wrong with it.
 * @throws `IdentityError` `request_invalid`, `deadline_exceeded`.
 */
export async function readSyncRequests(
  requests: AsyncIterable<SyncRequest>,
  { clock, signal, hear }: Reader,
): Promise<{ readonly ended: Promise<void> }> {
  const iterator = requests[Symbol.asyncIterator]()
  signal.throwIfAborted()
  // Not `AbortSignal.any`: of it something would stay with `signal` as long as the stream is open.
  const said = new AbortController()
  const giveUp = () => said.abort(signal.reason)
  signal.addEventListener('abort', giveUp, { once: true })
  const late = clock.sleep(HELLO_TIMEOUT_MS, said.signal).then(() => {
    throw new IdentityError('deadline_exceeded', 'no Hello came in time')
  })
  const first = await Promise.race([iterator.next(), late]).finally(() => {
    signal.removeEventListener('abort', giveUp)
    said.abort()
  })
  late.catch(() => {})
  if (first.done || first.value.message.case !== 'hello') {
    throw new IdentityError('request_invalid', 'the first message of Sync is a Hello')
  }
  hear(first.value.message)
  const ended = readRest(iterator, hear)
  // Where the stream is refused, nobody listens any more, and the end of the call is an error here.
  ended.catch(() => {})
  return { ended }
}

async function readRest(iterator: AsyncIterator<SyncRequest>, hear: Reader['hear']): Promise<void> {
  for (;;) {
    const next = await iterator.next()
    if (next.done) return
    if (next.value.message.case === 'hello') {
      throw new IdentityError('request_invalid', 'Hello is said once on a stream')
    }
    hear(next.value.message)
  }
}
