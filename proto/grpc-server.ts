/**
 * Binds protobuf-es services to grpc-js, so that a service is written as plain async functions and generators.
 *
 * @module
 */
import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf'
import type {
  Metadata,
  sendUnaryData,
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js'
import type { ErrorCode } from '../core/runtime/error-codes.ts'
import { codeOf, IdentityError } from '../core/runtime/errors.ts'
import { unlessAborted } from '../core/runtime/unless-aborted.ts'
import { type Encoded, methodDefinition } from './grpc-method.ts'
import { decodeRequest } from './request-message.ts'
import { resetStream } from './reset-stream.ts'
import { toStatus } from './status.ts'

/** What a handler may know about the call besides its request. */
export interface Call {
  /** The connection's remote address, or the name that was given to an injected connection (`nameConnection`). */
  readonly peer: string
  readonly metadata: Metadata
  /** Aborted once nobody waits for the answer: the caller cancelled, its deadline passed or the connection is gone. */
  readonly signal: AbortSignal
}

/** A call that answers with a stream. A caller that takes nothing keeps neither its data nor its status waiting for ever. */
export interface StreamingCall extends Call {
  /** Ends the call with `reason`, even while its handler waits for the caller to take what was sent. */
  readonly fail: (reason: Error) => void
  /** Throws away what the caller has not taken, the status too. Nothing, if it has taken all. */
  readonly reset: () => void
}

/** One async function per unary method, one async generator per streaming method. */
export type Handlers<S extends DescService> = {
  [K in keyof S['method']]: S['method'][K] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => Promise<MessageInitShape<O>>
    : S['method'][K] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, call: StreamingCall) => AsyncIterable<MessageInitShape<O> | Encoded<O>>
      : S['method'][K] extends DescMethodBiDiStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageShape<I>>,
            call: StreamingCall,
          ) => AsyncIterable<MessageInitShape<O> | Encoded<O>>
        : never
}

/** A call that has ended, for a log line and a metric. */
export interface EndedCall {
  readonly path: string
  readonly peer: string
  readonly code: ErrorCode | 'ok' | 'cancelled'
  /** What was thrown, for the log alone. */
  readonly error: unknown
}

/** Adds `handlers` to `server`; what a handler throws reaches the caller as `toStatus(error)`. */
export function addService<S extends DescService>(
  server: Server,
  service: S,
  handlers: Handlers<S>,
  ended: (call: EndedCall) => void = () => {},
): void {
  const untyped = handlers as unknown as Record<string, UntypedHandler>
  const bind = (method: DescMethod) => {
    const handle = untyped[method.localName]
    if (handle === undefined) throw new TypeError(`${service.typeName} has no handler for ${method.localName}`)
    const { path } = methodDefinition(method)
    const report = (peer: string, code: EndedCall['code'], error?: unknown) => ended({ path, peer, code, error })
    return method.methodKind === 'unary' ? unary(handle, method, report) : streaming(handle, method, report)
  }
  server.addService(
    Object.fromEntries(service.methods.map((method) => [method.localName, methodDefinition(method)])),
    Object.fromEntries(service.methods.map((method) => [method.localName, bind(method)])),
  )
}

type UntypedHandler = (request: unknown, call: Call | StreamingCall) => Promise<unknown> & AsyncIterable<unknown>
type Report = (peer: string, code: EndedCall['code'], error?: unknown) => void

function unary(handle: UntypedHandler, { input }: DescMethod, report: Report) {
  return (call: ServerUnaryCall<Buffer, unknown>, reply: sendUnaryData<unknown>) => {
    const cancellation = new AbortController()
    let isAnswered = false
    // grpc-js says so of every call that has ended; an error with its stack is dear, and nobody waits for it by then.
    call.once('cancelled', () => {
      if (!isAnswered) cancellation.abort(new IdentityError('deadline_exceeded', 'the caller went away'))
    })
    const peer = call.getPeer()
    const answer = async () =>
      handle(decodeRequest(input, call.request), { peer, metadata: call.metadata, signal: cancellation.signal })
    answer().then(
      (response) => {
        isAnswered = true
        report(peer, call.cancelled ? 'cancelled' : 'ok')
        reply(null, response)
      },
      (error: unknown) => {
        isAnswered = true
        report(peer, call.cancelled ? 'cancelled' : codeOf(error), error)
        reply(toStatus(error))
      },
    )
  }
}

type StreamCall = ServerWritableStream<Buffer, unknown> | ServerDuplexStream<Buffer, unknown>

function streaming(handle: UntypedHandler, method: DescMethod, report: Report) {
  return async (call: StreamCall) => {
    const cancellation = new AbortController()
    const { signal } = cancellation
    call.once('cancelled', () => cancellation.abort(new IdentityError('deadline_exceeded', 'the caller went away')))
    const peer = call.getPeer()
    let responses: AsyncIterator<unknown> | undefined
    try {
      const { input } = method
      const request = 'request' in call ? decodeRequest(input, call.request) : incoming(input, call)
      const fail = (reason: Error) => cancellation.abort(reason)
      const { metadata } = call
      responses = handle(request, { peer, metadata, signal, fail, reset: () => resetStream(call) })[
        Symbol.asyncIterator
      ]()
      for (;;) {
        const next = await unlessAborted(signal, responses.next())
        if (next.done) break
        await unlessAborted(signal, taken(call, next.value))
      }
      report(peer, 'ok')
      call.end()
    } catch (error) {
      // A generator that waits for its source cannot be awaited here: it ends when it looks at the signal.
      responses?.return?.().catch(() => {})
      report(peer, call.cancelled ? 'cancelled' : codeOf(error), error)
      cancellation.abort(error)
      // Not `destroy`, which would drop the status and leave the caller waiting: grpc-js sends it once it hears of an error.
      if (!call.cancelled) call.emit('error', Object.assign(new Error(method.name), toStatus(error)))
    }
  }
}

/**
 * Sends a message; resolves once it has left: the caller's window had room for it. What waits for a `drain` alone lets
 * sixteen messages pile up for a caller that reads nothing, and takes each of them to be passed on.
 */
function taken(call: StreamCall, message: unknown): Promise<void> {
  return new Promise((resume) => call.write(message, () => resume()))
}

async function* incoming(schema: DescMessage, call: AsyncIterable<Buffer>): AsyncIterable<unknown> {
  for await (const bytes of call) yield decodeRequest(schema, bytes)
}
