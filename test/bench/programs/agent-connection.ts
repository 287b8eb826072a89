import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ChannelCredentials, Client } from '@grpc/grpc-js'
import { createCsr } from '../../../core/pki/csr.ts'
import { pkcs8Of } from '../../../core/pki/key.ts'
import { pemEncode } from '../../../core/pki/pem.ts'
import { NodeService } from '../../../proto/gen/countersign/node/v1/node_pb.ts'
import { serviceClient, type ServiceClient } from '../../../proto/grpc-client.ts'

export interface BrokerAddress {
  readonly address: string
  readonly bundleFile: string
}

/** A connection over mTLS as the agent of a node. */
export interface AgentConnection {
  readonly service: ServiceClient<typeof NodeService>
  close(): void
}

/** Attests a node by its agent's token, and connects with the SVID that it was given. */
export async function connectAgent(broker: BrokerAddress, serviceAccountToken: string): Promise<AgentConnection> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const stranger = connect(broker)
  const request = { serviceAccountToken, csr: createCsr(privateKey) }
  const { svid } = await stranger.service.attestNode(request, { timeoutMs: 30_000 })
  stranger.close()
  const chain = (svid?.certificateChain ?? []).map((der) => pemEncode('CERTIFICATE', der)).join('')
  return connect(broker, { key: Buffer.from(pemEncode('PRIVATE KEY', pkcs8Of(privateKey))), chain: Buffer.from(chain) })
}

/** By gRPC's own credentials: what is measured is the broker. */
function connect(
  { address, bundleFile }: BrokerAddress,
  { key, chain }: { key: Buffer | null; chain: Buffer | null } = { key: null, chain: null },
): AgentConnection {
  const credentials = ChannelCredentials.createSsl(readFileSync(bundleFile), key, chain, {
    checkServerIdentity: () => undefined,
  })
  const client = new Client(address, credentials, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.ssl_target_name_override': 'broker',
    'grpc.default_authority': 'broker',
  })
  return { service: serviceClient(NodeService, client, () => Date.now()), close: () => client.close() }
}
