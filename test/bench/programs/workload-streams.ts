/** Workloads that hold a stream of the SPIFFE Workload API, each on its own connection to its own socket. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { Client, credentials } from '@grpc/grpc-js'
import { splitDerCertificates } from '../../../core/spiffe/bundle.ts'
import { SpiffeWorkloadAPI } from '../../../proto/gen/third_party/spiffe/workload_pb.ts'
import { serviceClient } from '../../../proto/grpc-client.ts'
import { serveCommands } from '../machine/remote.ts'
import { FileWatch } from './file-watch.ts'
import { Holding } from './holding.ts'

const METADATA = { 'workload.spiffe.io': 'true' }

function connect(socket: string) {
  // A pool of its own: several streams to one socket are several workloads.
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  return { client, api: serviceClient(SpiffeWorkloadAPI, client, () => Date.now()) }
}

const streams: Holding[] = []
const files: FileWatch[] = []

async function follow(socket: string, holding: Holding): Promise<void> {
  const { api } = connect(socket)
  try {
    for await (const { svids } of api.fetchX509SVID({}, { metadata: METADATA })) {
      const [svid] = svids
      const [leaf] = svid ? splitDerCertificates(svid.x509Svid) : []
      if (!svid || !leaf) throw new Error('no SVID in an update')
      const key = createPrivateKey({ key: Buffer.from(svid.x509SvidKey), format: 'der', type: 'pkcs8' })
      holding.received(new X509Certificate(leaf), key)
    }
    holding.broken('the stream ended')
  } catch (error) {
    holding.broken((error as Error).message)
  }
}

const commands = {
  /** Opens a stream on each socket, and returns once each had its first SVID. */
  async open({ sockets }: { sockets: readonly string[] }) {
    for (const socket of sockets) {
      const holding = new Holding()
      streams.push(holding)
      void follow(socket, holding)
    }
    await Promise.all(streams.map((holding) => holding.first))
  },

  /** Looks at the files in each folder every `everyMs`, and at every stream. */
  watch({ folders, everyMs }: { folders: readonly string[]; everyMs: number }) {
    files.push(...folders.map((folder) => new FileWatch(folder)))
    setInterval(() => {
      for (const watch of files) watch.look()
      for (const stream of streams) stream.look()
    }, everyMs)
  },

  seen: () => ({ streams: summaryOf(streams), files: summaryOf(files.map(({ holding }) => holding)) }),

  /** Times `count` fetches, each over a new connection, in microseconds. */
  async fetch({ socket, count }: { socket: string; count: number }) {
    const micros: number[] = []
    for (let index = 0; index < count; index += 1) {
      const begin = performance.now()
      const { client, api } = connect(socket)
      for await (const { svids } of api.fetchX509SVID({}, { metadata: METADATA })) {
        if (svids.length > 0) break
      }
      micros.push((performance.now() - begin) * 1000)
      client.close()
    }
    return micros
  },
}

export type WorkloadStreamsCommands = typeof commands

function summaryOf(holdings: readonly Holding[]) {
  const sum = (pick: (holding: Holding) => number) => holdings.reduce((total, holding) => total + pick(holding), 0)
  return {
    looks: sum(({ looks }) => looks),
    gaps: sum(({ gaps }) => gaps),
    fewestUpdates: Math.min(...holdings.map(({ updates }) => updates)),
    leastLeftMs: Math.min(...holdings.map(({ leastLeftMs }) => leastLeftMs)),
    problems: [...new Set(holdings.flatMap(({ problems }) => problems))].slice(0, 5),
  }
}

serveCommands(commands)
