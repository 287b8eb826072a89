import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type DescMethod, type DescService, type JsonObject, toJson } from '@bufbuild/protobuf'
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { codeOf } from '../../core/runtime/errors.ts'
import { serviceClient, type UnaryOptions } from '../../proto/grpc-client.ts'
import { addService, type Call, type Handlers } from '../../proto/grpc-server.ts'
import { Identity, Node } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import { Registration } from '../../proto/gen/third_party/pluginregistration/api_pb.ts'
import { type RecordedCall, withoutTokens } from './recording.ts'

const SOCKET = 'csi.countersign.dev-reg.sock'

/** Stands in `outer` for the driver in `inner`, and writes every call to `file` as it passes, without its tokens. */
export async function startRecorder({ outer, inner, file }: { outer: string; inner: string; file: string }) {
  const calls: RecordedCall[] = []
  const client = new Client(`unix:${join(inner, SOCKET)}`, credentials.createInsecure())
  const server = new Server()
  for (const service of [Registration, Identity, Node] as DescService[]) {
    addService(
      server,
      service,
      proxied(service, client, async (method, request, outcome) => {
        const json = JSON.stringify(toJson(method.input, request as never))
        calls.push({
          method: `${service.typeName}/${method.name}`,
          request: JSON.parse(withoutTokens(json)) as JsonObject,
          outcome,
        })
        await writeFile(file, `${JSON.stringify(calls, undefined, 2)}\n`)
      }),
    )
  }
  await rm(join(outer, SOCKET), { force: true })
  await new Promise<void>((resolve, reject) => {
    const bound = (error: Error | null) => (error ? reject(error) : resolve())
    server.bindAsync(`unix:${join(outer, SOCKET)}`, ServerCredentials.createInsecure(), bound)
  })
  return {
    async close() {
      server.forceShutdown()
      client.close()
      await rm(join(outer, SOCKET), { force: true })
    },
  }
}

type Record = (method: DescMethod, request: unknown, outcome: string) => Promise<void>

function proxied(service: DescService, client: Client, record: Record): Handlers<DescService> {
  const inner = serviceClient(service, client, () => systemClock.now().getTime()) as unknown as {
    [method: string]: (request: unknown, options: UnaryOptions) => Promise<unknown>
  }
  const handlers = service.methods.map((method) => [
    method.localName,
    async (request: unknown, { signal }: Call) => {
      try {
        const response = await inner[method.localName]?.(request, { timeoutMs: 120_000, signal })
        await record(method, request, 'ok')
        return response
      } catch (error) {
        await record(method, request, codeOf(error))
        throw error
      }
    },
  ])
  return Object.fromEntries(handlers) as Handlers<DescService>
}
