import { Client } from '@grpc/grpc-js'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { printableLine } from '../../core/runtime/printable.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { AdminService } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { serviceClient, type ServiceClient, type UnaryOptions } from '../../proto/grpc-client.ts'
import { SpiffeCredentials } from '../../proto/spiffe-credentials.ts'
import { verifyBrokerOf } from './verify-broker-of.ts'

/** The broker's admin API, to be asked. */
export interface AdminChannel {
  /** Asks; says why when there is no connection. */
  ask<T>(call: (service: ServiceClient<typeof AdminService>, options: UnaryOptions) => Promise<T>): Promise<T>
  close(): void
}

interface Options {
  /** `host:port`. */
  readonly address: string
  /** Whom to take for the broker. */
  readonly bundle: X509Bundle
  /** What the trust domain was taken from, for example `--trust-domain`. */
  readonly saidBy: string
  /** A bearer token of the admin audience. */
  readonly token: string
  readonly clock: Clock
  readonly timeoutMs: number
  /** Why what leads to the address failed, if that is known. */
  readonly pathFailure?: () => unknown
}

const CHANNEL_OPTIONS = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // Explanations of many pods, and pages of 500.
  'grpc.max_receive_message_length': 16 * 1024 * 1024,
}

/** Opens a channel; the token is sent only once the other side has proven to be the broker of the bundle. */
export function openAdminChannel(options: Options): AdminChannel {
  const { address, bundle, saidBy, token, clock, timeoutMs, pathFailure } = options
  const credentials = new SpiffeCredentials({
    verify: (chain) => verifyBrokerOf(chain, bundle, { at: clock.now(), saidBy }),
    clock,
  })
  const client = new Client(address, credentials, CHANNEL_OPTIONS)
  const service = serviceClient(AdminService, client, () => clock.now().getTime())
  return {
    async ask(call) {
      try {
        return await call(service, { timeoutMs, metadata: { authorization: `Bearer ${token}` } })
      } catch (error) {
        throw explained(error, address, pathFailure?.() ?? credentials.failure)
      }
    },
    close: () => client.close(),
  }
}

/** gRPC says of a connection that failed only that it failed. */
function explained(error: unknown, address: string, failure: unknown): unknown {
  if (!(error instanceof IdentityError) || error.code !== 'broker_unavailable') return error
  if (failure instanceof IdentityError) return failure
  const details = (error.cause as { readonly details?: unknown } | undefined)?.details
  const why =
    failure instanceof Error ? failure.message : typeof details === 'string' ? withoutFrame(details) : error.message
  return new IdentityError('broker_unavailable', `the broker at ${address} cannot be asked: ${printableLine(why)}`, {
    cause: error,
  })
}

/** What gRPC puts around the reason of a failed connection, and an empty note behind it, tells an operator nothing. */
function withoutFrame(details: string): string {
  const frame = /^No connection established\. Last error: (?:Error: )?(?<why>.*?)\.? Resolution note: (?<note>.*)$/s
  const { why, note } = frame.exec(details)?.groups ?? {}
  return why === undefined ? details : [why, note].filter(Boolean).join('; ')
}
