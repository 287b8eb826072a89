import { createPrivateKey } from 'node:crypto'
import { resolve } from 'node:path'
import { ChannelCredentials, Client } from '@grpc/grpc-js'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { splitDerCertificates } from '../../core/spiffe/bundle.ts'
import { SpiffeWorkloadAPI } from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import { serviceClient } from '../../proto/grpc-client.ts'
import type { FoundSvid } from './svid-report.ts'

/** Asks a Workload API socket once, as any SPIFFE client does, and shows what it would give a workload. */
export async function readSvidSocket(
  path: string,
  { clock, timeoutMs }: { clock: Clock; timeoutMs: number },
): Promise<FoundSvid[]> {
  const client = new Client(`unix:${resolve(path)}`, ChannelCredentials.createInsecure(), { 'grpc.enable_retries': 0 })
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const service = serviceClient(SpiffeWorkloadAPI, client, () => clock.now().getTime())
    const answers = service.fetchX509SVID({}, { signal, metadata: { 'workload.spiffe.io': 'true' } })
    for await (const { svids } of answers) {
      return svids.map(({ x509Svid, x509SvidKey, bundle }, index) => ({
        source: svids.length > 1 ? `${path} (${index + 1} of ${svids.length})` : path,
        chain: splitDerCertificates(x509Svid),
        authorities: splitDerCertificates(bundle),
        privateKey: createPrivateKey({ key: Buffer.from(x509SvidKey), format: 'der', type: 'pkcs8' }),
      }))
    }
    throw new IdentityError('broker_unavailable', `${path} ended the stream without an answer`)
  } catch (error) {
    if (signal.aborted) throw new IdentityError('deadline_exceeded', `${path} did not answer in time`)
    throw error
  } finally {
    client.close()
  }
}
