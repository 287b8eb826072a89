import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { SyncRequestSchema, SyncResponse } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import type { BrokerChannel } from './broker-channel.ts'

/** What the agent says first on a stream. */
export interface Hello {
  readonly agentVersion: string
  /** The newest that this node enforces; 0 for none. */
  readonly bundleSequence: bigint
  readonly heldSerialNumbers: readonly string[]
}

interface Options {
  readonly channel: BrokerChannel
  readonly hello: Hello
  /**
   * Called with each revision, in order; the first is the bundles. `acknowledge` tells the broker, on the stream that it
   * came on, that the revision is enforced.
   */
  readonly received: (response: SyncResponse, acknowledge: () => void) => void
  readonly clock: Clock
}

/** The proto's limits. */
const MAX_HELD = 10_000
const MAX_ENDED = 1_000
/** The broker sends its bundles first and at once; one that does not is not there. */
const FIRST_MESSAGE_MS = 15_000

type Send = (message: MessageInitShape<typeof SyncRequestSchema>) => void

/** One Sync stream, and the connection beneath it. */
export class SyncSession {
  readonly channel: BrokerChannel
  /** Rejects with the reason once the stream is over, whoever ended it. */
  readonly ended: Promise<never>
  readonly #stop: AbortController
  readonly #send: Send

  private constructor(channel: BrokerChannel, stop: AbortController, send: Send, ended: Promise<never>) {
    this.channel = channel
    this.#stop = stop
    this.#send = send
    this.ended = ended
    ended.catch(() => {})
  }

  /**
   * Opens a stream; resolves once the broker has sent its first revision.
   *
   * @throws {@link IdentityError} why there is none. The channel is closed then.
   */
  static async open({ channel, hello, received, clock }: Options): Promise<SyncSession> {
    const stop = new AbortController()
    const first = Promise.withResolvers<void>()
    const stream = channel.service.sync({ signal: stop.signal })
    stream.send({
      message: {
        case: 'hello',
        value: {
          ...hello,
          heldSerialNumbers: hello.heldSerialNumbers.slice(0, MAX_HELD),
          agentTime: timestampFromDate(clock.now()),
        },
      },
    })
    const read = async (): Promise<never> => {
      for await (const response of stream.responses) {
        const { kind, revision } = response
        received(response, () => {
          if (!isOver) stream.send({ message: { case: 'acknowledgement', value: { kind, revision } } })
        })
        first.resolve()
      }
      throw new IdentityError('broker_unavailable', 'the broker ended the stream')
    }
    let isOver = false
    const ended = read().finally(() => (isOver = true))
    const timer = new AbortController()
    const late = clock.sleep(FIRST_MESSAGE_MS, timer.signal).then(
      () => Promise.reject(new IdentityError('broker_unavailable', 'the broker did not answer in time')),
      () => {},
    )
    try {
      await Promise.race([first.promise, ended, late])
    } catch (error) {
      ended.catch(() => {})
      stop.abort(error)
      channel.close()
      throw error
    } finally {
      timer.abort()
      late.catch(() => {})
    }
    return new SyncSession(channel, stop, (message) => void stream.send(message), ended)
  }

  tellEnded(serialNumbers: readonly string[]): void {
    for (let from = 0; from < serialNumbers.length; from += MAX_ENDED) {
      this.#send({ message: { case: 'ended', value: { serialNumbers: serialNumbers.slice(from, from + MAX_ENDED) } } })
    }
  }

  close(reason: Error): void {
    this.#stop.abort(reason)
    this.channel.close()
  }
}
