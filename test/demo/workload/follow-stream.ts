import { Client, credentials as grpcCredentials } from '@grpc/grpc-js'
import { splitDerCertificates } from '../../../core/spiffe/bundle.ts'
import { pemEncode } from '../../../core/pki/pem.ts'
import { SpiffeWorkloadAPI } from '../../../proto/gen/third_party/spiffe/workload_pb.ts'
import { serviceClient } from '../../../proto/grpc-client.ts'
import type { Credentials } from './credentials.ts'

/** Calls `changed` with what the SPIFFE Workload API on `socket` streams, now and after each rotation. */
export async function followStream(socket: string, changed: (credentials: Credentials) => void): Promise<never> {
  const api = serviceClient(SpiffeWorkloadAPI, new Client(`unix:${socket}`, grpcCredentials.createInsecure()), Date.now)
  for await (const { svids } of api.fetchX509SVID({}, { metadata: { 'workload.spiffe.io': 'true' } })) {
    const [svid] = svids
    if (svid === undefined) throw new Error('the Workload API sent no SVID')
    const pem = (der: Uint8Array) =>
      splitDerCertificates(der).map((certificate) => pemEncode('CERTIFICATE', certificate))
    changed({
      certificates: pem(svid.x509Svid).join(''),
      key: pemEncode('PRIVATE KEY', svid.x509SvidKey),
      authorities: pem(svid.bundle).join(''),
    })
  }
  throw new Error('the Workload API ended the stream')
}
