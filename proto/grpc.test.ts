import type { MessageShape } from '@bufbuild/protobuf'
import { ChannelCredentials, Client, Server, ServerCredentials, type ServiceError } from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import { IdentityError } from '../core/runtime/errors.ts'
import {
  AttestNodeResponseSchema,
  NodeService,
  type SyncRequest,
  SyncResponseSchema,
} from './gen/countersign/node/v1/node_pb.ts'
import { serviceClient } from './grpc-client.ts'
import { Encoded } from './grpc-method.ts'
import { addService, type Call, type EndedCall, type Handlers } from './grpc-server.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const UNUSED: Handlers<typeof NodeService> = {
  attestNode: () => Promise.reject(new Error('unused')),
  issueX509Svids: () => Promise.reject(new Error('unused')),
  // eslint-disable-next-line require-yield
  async *sync() {
    throw new Error('unused')
  },
}

/** A server with one handler of interest on a real socket, and a client of it. */
async function serve(change: Partial<Handlers<typeof NodeService>>, ended?: (call: EndedCall) => void) {
  const server = new Server({ 'grpc.max_receive_message_length': 1024 * 1024 })
  addService(server, NodeService, { ...UNUSED, ...change }, ended)
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  const client = new Client(`127.0.0.1:${port}`, ChannelCredentials.createInsecure())
  cleanups.push(() => {
    client.close()
    server.forceShutdown()
  })
  return { client, service: serviceClient(NodeService, client, () => Date.now()) }
}

describe('unary', () => {
  test('answers', async () => {
    const { service } = await serve({
      attestNode: async ({ serviceAccountToken }) => ({ svid: { spiffeId: serviceAccountToken } }),
    })
    const { svid } = await service.attestNode({ serviceAccountToken: 'echo' }, { timeoutMs: 5000 })
    expect(svid?.spiffeId).toBe('echo')
  })

  test('a refusal arrives as it was thrown: code, words, facts and retry time; its cause stays', async () => {
    const { service } = await serve({
      attestNode: () =>
        Promise.reject(
          new IdentityError('key_type_required', 'make another', {
            facts: { keyType: 'rsa-2048' },
            retryAfterMs: 1500,
            cause: new Error('for the operator'),
          }),
        ),
    })
    const failure = await service.attestNode({}, { timeoutMs: 5000 }).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'key_type_required',
      message: 'make another',
      facts: { keyType: 'rsa-2048' },
      retryAfterMs: 1500,
    })
    expect(String((failure as Error).cause)).not.toContain('for the operator')
  })

  test('a bug arrives as internal, without a detail', async () => {
    const calls: EndedCall[] = []
    const { service } = await serve({ attestNode: () => Promise.reject(new TypeError('secret')) }, (call) =>
      calls.push(call),
    )
    await expect(service.attestNode({}, { timeoutMs: 5000 })).rejects.toMatchObject({
      code: 'internal',
      message: 'internal error',
    })
    expect(calls).toMatchObject([{ code: 'internal', error: { message: 'secret' } }])
  })

  test('bytes that are no message are refused as invalid', async () => {
    const { client } = await serve({})
    const failure = await new Promise<ServiceError | null>((resolve) =>
      client.makeUnaryRequest(
        '/countersign.node.v1.NodeService/AttestNode',
        () => Buffer.from([0xff, 0xff]),
        (bytes: Buffer) => bytes,
        {},
        (error) => resolve(error),
      ),
    )
    expect(failure).toMatchObject({ details: expect.stringMatching(/^request_invalid: the message cannot be decoded/) })
  })

  test('a message of more than 1 MiB is refused', async () => {
    const { service } = await serve({ attestNode: async () => ({}) })
    const failure = service.attestNode({ csr: new Uint8Array(1024 * 1024) }, { timeoutMs: 5000 })
    await expect(failure).rejects.toMatchObject({ cause: { details: expect.stringContaining('larger than max') } })
  })

  test.for([
    { name: 'its deadline passes', stop: 'deadline', code: 'deadline_exceeded' },
    { name: 'its caller gives up', stop: 'abort', code: 'shutting_down' },
  ])('the handler learns when $name', async ({ stop, code }) => {
    let aborted: () => void = () => {}
    const seen = new Promise<void>((resolve) => (aborted = resolve))
    const giveUp = new AbortController()
    const { service } = await serve({
      attestNode: (_, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            aborted()
            reject(signal.reason as Error)
          })
          if (stop === 'abort') giveUp.abort(new IdentityError('shutting_down', 'enough'))
        }),
    })
    const timeoutMs = stop === 'deadline' ? 200 : 10_000
    const call = service.attestNode({}, { timeoutMs, signal: giveUp.signal })
    await expect(call).rejects.toMatchObject({ code })
    await seen
  })

  test('nobody there is broker_unavailable', async () => {
    const client = new Client('127.0.0.1:1', ChannelCredentials.createInsecure())
    cleanups.push(() => client.close())
    const service = serviceClient(NodeService, client, () => Date.now())
    await expect(service.attestNode({}, { timeoutMs: 5000 })).rejects.toMatchObject({ code: 'broker_unavailable' })
  })
})

describe('streams', () => {
  const hello = { message: { case: 'hello' as const, value: { agentVersion: 'x' } } }

  test('both sides speak, and an encoded message arrives as any other', async () => {
    const { service } = await serve({
      async *sync(requests) {
        for await (const { message } of requests) {
          if (message.case === 'acknowledgement') yield { revision: message.value.revision }
          else yield Encoded.of(SyncResponseSchema, { revision: 1n })
        }
      },
    })
    const { send, responses } = service.sync()
    const iterator = responses[Symbol.asyncIterator]()
    send(hello)
    expect((await iterator.next()).value).toMatchObject({ revision: 1n })
    send({ message: { case: 'acknowledgement', value: { revision: 7n } } })
    expect((await iterator.next()).value).toMatchObject({ revision: 7n })
    await iterator.return?.()
  })

  test('a stream that ends with an error says which', async () => {
    const { service } = await serve({
      async *sync() {
        yield { revision: 1n }
        throw new IdentityError('shutting_down', 'connect again', { retryAfterMs: 100 })
      },
    })
    const { send, responses } = service.sync()
    send(hello)
    const seen: unknown[] = []
    const end = async () => {
      for await (const response of responses) seen.push(response.revision)
    }
    await expect(end()).rejects.toMatchObject({ code: 'shutting_down', retryAfterMs: 100 })
    expect(seen).toEqual([1n])
  })

  test('a handler that waits learns that the caller has gone', async () => {
    const codes: string[] = []
    let ended: () => void = () => {}
    const gone = new Promise<void>((resolve) => (ended = resolve))
    const { service } = await serve(
      {
        async *sync(_: AsyncIterable<SyncRequest>, { signal }: Call) {
          yield { revision: 1n }
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
          ended()
        },
      },
      ({ code }) => codes.push(code),
    )
    const { send, responses } = service.sync()
    send(hello)
    for await (const _ of responses) break
    await gone
    expect(codes).toEqual(['cancelled'])
  })

  test('a caller that does not read is not written to without end', async () => {
    let written = 0
    let stop: () => void = () => {}
    const stopped = new Promise<void>((resolve) => (stop = resolve))
    const big = Encoded.of(SyncResponseSchema, {
      state: { case: 'renewal', value: { authorityKeyIds: ['x'.repeat(64 * 1024)] } },
    })
    const { service } = await serve({
      async *sync() {
        for (;;) {
          written += 1
          yield big
          if (written > 5000) stop()
        }
      },
    })
    const giveUp = new AbortController()
    const { send, responses } = service.sync({ signal: giveUp.signal })
    send(hello)
    const iterator = responses[Symbol.asyncIterator]()
    await iterator.next()
    // The writer must come to rest: the count stays the same over many turns of the event loop.
    let before = -1
    for (let rest = 0; rest < 50;) {
      rest = written === before ? rest + 1 : 0
      before = written
      await Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, 2))])
    }
    expect(written).toBeLessThan(1000)
    giveUp.abort(new Error('enough'))
    const rest = async () => {
      while (!(await iterator.next()).done);
    }
    const outcome = await rest().catch((error: Error) => error.message)
    expect(outcome).toBe('enough')
  })
})

test('an encoded message has the bytes of the message', () => {
  const message: MessageShape<typeof AttestNodeResponseSchema> | object = { svid: { spiffeId: 'spiffe://a/b' } }
  expect(Encoded.of(AttestNodeResponseSchema, message).bytes.toString('latin1')).toContain('spiffe://a/b')
})
