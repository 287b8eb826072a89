import { Client } from '@grpc/grpc-js'
import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { verifyBroker } from '../../core/spiffe/verify-broker.ts'
import { NodeService } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { serviceClient, type ServiceClient } from '../../proto/grpc-client.ts'
import { type ClientSvid, SpiffeCredentials } from '../../proto/spiffe-credentials.ts'

/** A connection to the broker that makes itself again; each time, the broker is verified anew. */
export interface BrokerChannel {
  readonly service: ServiceClient<typeof NodeService>
  /** Why there is no connection, as far as it is known. */
  failure(): unknown
  /** Calls under way may end; no new ones begin. */
  close(): void
}

interface Options {
  /** `host:port`. */
  readonly address: string
  /** What the broker is verified with, at the moment of connecting. */
  readonly bundle: () => X509Bundle
  readonly clock: Clock
  readonly svid?: ClientSvid | undefined
}

const CHANNEL_OPTIONS = {
  // A connection carries one SVID for its whole life, so it is never shared.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // A broker that vanished without a word is noticed in time for renewals.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 250,
  'grpc.max_reconnect_backoff_ms': 5_000,
}

/** Opens a channel; nothing is sent before the peer has proven to be the broker of the bundle's trust domain. */
export function openBrokerChannel({ address, bundle, clock, svid }: Options): BrokerChannel {
  const credentials = new SpiffeCredentials({
    verify: (chain) => verifyBroker(chain, bundle(), clock.now()),
    svid,
    clock,
  })
  const client = new Client(address, credentials, CHANNEL_OPTIONS)
  return {
    service: serviceClient(NodeService, client, () => clock.now().getTime()),
    failure: () => credentials.failure,
    close: () => client.close(),
  }
}

/** What gRPC calls unavailable may have a precise reason beneath, such as a broker that is not to be believed. */
export function withFailure(error: unknown, channel: BrokerChannel): unknown {
  const failure = channel.failure()
  return codeOf(error) === 'broker_unavailable' && failure instanceof IdentityError ? failure : error
}
