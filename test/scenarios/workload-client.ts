import { Client, credentials } from '@grpc/grpc-js'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { SpiffeWorkloadAPI, type X509SVIDResponse } from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import { serviceClient } from '../../proto/grpc-client.ts'

/** Speaks the Workload API on a pod's socket, as a stock client does. */
export class WorkloadClient implements Disposable {
  readonly #client: Client
  readonly service

  constructor(socket: string) {
    this.#client = new Client(`unix://${socket}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    })
    this.service = serviceClient(SpiffeWorkloadAPI, this.#client, () => systemClock.now().getTime())
  }

  fetch(signal?: AbortSignal): AsyncIterable<X509SVIDResponse> {
    return this.service.fetchX509SVID({}, { metadata: HEADER, ...(signal && { signal }) })
  }

  async first(): Promise<X509SVIDResponse> {
    for await (const response of this.fetch()) return response
    throw new Error('the stream ended without a message')
  }

  /** Follows the stream to its end; resolves once the first message is there. */
  async watch(): Promise<{ readonly ended: Promise<unknown> }> {
    const first = Promise.withResolvers<void>()
    const read = async () => {
      for await (const _ of this.fetch()) first.resolve()
    }
    const ended = read().then(
      () => 'ended without an error',
      (error: unknown) => error,
    )
    await Promise.race([first.promise, ended])
    return { ended }
  }

  [Symbol.dispose](): void {
    this.#client.close()
  }
}

export const HEADER = { 'workload.spiffe.io': 'true' }
