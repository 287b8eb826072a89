import { ChannelCredentials, Client } from '@grpc/grpc-js'
import { readFileSync } from 'node:fs'
import type { TokenFacts } from '../../broker/attestation/attested.ts'
import { createCsr } from '../../core/pki/csr.ts'
import { generateKeyPair, type KeyType, pkcs8Of } from '../../core/pki/key.ts'
import { pemEncode } from '../../core/pki/pem.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { NodeService } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { serviceClient, type ServiceClient } from '../../proto/grpc-client.ts'
import { AUDIENCE, type BrokerFolder } from './running-broker.ts'

/** A client certificate with its key. */
export interface ClientIdentity {
  readonly chain: readonly Uint8Array[]
  readonly privateKey: Uint8Array
}

/** A connection to the broker, with or without a certificate. */
export interface NodeConnection {
  readonly service: ServiceClient<typeof NodeService>
  close(): void
}

export const pemOf = ({ chain, privateKey }: ClientIdentity) => ({
  cert: chain.map((der) => pemEncode('CERTIFICATE', der)).join(''),
  key: pemEncode('PRIVATE KEY', privateKey),
})

/** Connects as an agent does, by way of gRPC's own credentials instead of the agent's: a second opinion on the wire. */
export function connectTo(
  { port }: { readonly port: number },
  folder: BrokerFolder,
  identity?: ClientIdentity,
): NodeConnection {
  const pem = identity && pemOf(identity)
  const credentials = ChannelCredentials.createSsl(
    readFileSync(folder.bundleFile),
    pem ? Buffer.from(pem.key) : null,
    pem ? Buffer.from(pem.cert) : null,
    { checkServerIdentity: () => undefined },
  )
  const client = new Client(`127.0.0.1:${port}`, credentials, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.ssl_target_name_override': 'broker',
    'grpc.default_authority': 'broker',
  })
  return {
    service: serviceClient(NodeService, client, () => systemClock.now().getTime()),
    close: () => client.close(),
  }
}

export async function newCsr(keyType: KeyType = 'ec-p256'): Promise<{ csr: Uint8Array; privateKey: Uint8Array }> {
  const { privateKey } = await generateKeyPair(keyType)
  return { csr: createCsr(privateKey), privateKey: pkcs8Of(privateKey) }
}

/** The facts of the agent's pod on `nodeName`. */
export function agentFacts(nodeName: string, nodeUid = 'node-uid-a'): TokenFacts {
  return podFacts({
    namespace: 'countersign-agent',
    serviceAccount: 'countersign-agent',
    nodeName,
    nodeUid,
    podUid: `agent-${nodeName}`,
  })
}

export function podFacts(change: Partial<TokenFacts> = {}): TokenFacts {
  return {
    namespace: 'shop',
    serviceAccount: 'cart',
    serviceAccountUid: 'sa-uid-1',
    podName: 'cart-0',
    podUid: 'pod-uid-1',
    nodeName: 'node-a',
    nodeUid: 'node-uid-a',
    tokenId: 'jti-1',
    ...change,
  }
}

export function tokenFor(folder: BrokerFolder, facts: TokenFacts, audience = AUDIENCE): string {
  return folder.issuer.mint({ facts, audience })
}

/** Attests `nodeName` and connects with what it was given. */
export async function attestedNode(
  broker: { readonly port: number },
  folder: BrokerFolder,
  nodeName = 'node-a',
  nodeUid?: string,
): Promise<NodeConnection & { readonly identity: ClientIdentity }> {
  const { csr, privateKey } = await newCsr()
  const stranger = connectTo(broker, folder)
  const serviceAccountToken = tokenFor(folder, agentFacts(nodeName, nodeUid))
  const { svid } = await stranger.service.attestNode({ serviceAccountToken, csr }, { timeoutMs: 5000 })
  stranger.close()
  const identity = { chain: svid?.certificateChain ?? [], privateKey }
  return { ...connectTo(broker, folder, identity), identity }
}
