import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf'
import type { Client, ServiceError } from '@grpc/grpc-js'
import { Metadata } from '@grpc/grpc-js'
import { methodDefinition } from './grpc-method.ts'
import { fromServiceError } from './status.ts'

/** How long a call may take, and how to give it up. */
export interface UnaryOptions {
  /** Milliseconds until the call fails with `deadline_exceeded`. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  readonly metadata?: Record<string, string>
}

/** How to give a stream up. */
export interface StreamOptions {
  readonly signal?: AbortSignal
  readonly metadata?: Record<string, string>
}

/** Both directions of a bidirectional stream. */
export interface Duplex<I, O> {
  /** Sends a message; false when the stream's buffer is full (the message is taken all the same). */
  send(message: I): boolean
  /** What the other side sends. Throws an `IdentityError` when the stream ends with an error. */
  readonly responses: AsyncIterable<O>
}

/** A service as async functions. What fails is thrown as `IdentityError`. */
export type ServiceClient<S extends DescService> = {
  [K in keyof S['method']]: S['method'][K] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options: UnaryOptions) => Promise<MessageShape<O>>
    : S['method'][K] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: StreamOptions) => AsyncIterable<MessageShape<O>>
      : S['method'][K] extends DescMethodBiDiStreaming<infer I, infer O>
        ? (options?: StreamOptions) => Duplex<MessageInitShape<I>, MessageShape<O>>
        : never
}

/** `service` over `client`. `now` is the wall clock in milliseconds, which gRPC deadlines are counted on. */
export function serviceClient<S extends DescService>(service: S, client: Client, now: () => number): ServiceClient<S> {
  const bound = service.methods.map((method) => {
    if (method.methodKind === 'unary') return [method.localName, unary(client, method, now)]
    if (method.methodKind === 'server_streaming') return [method.localName, serverStreaming(client, method)]
    return [method.localName, bidirectional(client, method)]
  })
  return Object.fromEntries(bound) as ServiceClient<S>
}

function unary(client: Client, method: DescMethod, now: () => number) {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method)
  return (request: Record<string, unknown>, { timeoutMs, signal, metadata }: UnaryOptions) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const call = client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadataOf(metadata),
        { deadline: now() + timeoutMs },
        (error, response) => {
          signal?.removeEventListener('abort', cancel)
          if (error) reject(signal?.aborted ? (signal.reason as Error) : fromServiceError(error))
          else resolve(response)
        },
      )
      const cancel = () => call.cancel()
      signal?.addEventListener('abort', cancel, { once: true })
    })
}

function serverStreaming(client: Client, method: DescMethod) {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method)
  return (request: Record<string, unknown>, { signal, metadata }: StreamOptions = {}) => {
    const call = client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadataOf(metadata),
    )
    return responsesOf(call, signal)
  }
}

function bidirectional(client: Client, method: DescMethod) {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method)
  return ({ signal, metadata }: StreamOptions = {}) => {
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadataOf(metadata))
    return { send: (message: Record<string, unknown>) => call.write(message), responses: responsesOf(call, signal) }
  }
}

interface CancellableStream extends AsyncIterable<unknown> {
  cancel(): void
  on(event: 'error', listener: (error: Error) => void): unknown
}

async function* responsesOf(call: CancellableStream, signal: AbortSignal | undefined): AsyncIterable<unknown> {
  const cancel = () => call.cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  if (signal?.aborted) cancel()
  // The iterator throws it too; without a listener the event alone would end the process after an early return.
  call.on('error', () => {})
  try {
    yield* call
  } catch (error) {
    throw signal?.aborted ? signal.reason : fromServiceError(error as ServiceError)
  } finally {
    signal?.removeEventListener('abort', cancel)
    cancel()
  }
}

function metadataOf(entries: Record<string, string> = {}): Metadata {
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(entries)) metadata.set(key, value)
  return metadata
}
