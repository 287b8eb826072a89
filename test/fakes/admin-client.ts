import { ChannelCredentials, Client } from '@grpc/grpc-js'
import { readFileSync } from 'node:fs'
import { IdentityError } from '../../core/runtime/errors.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { AdminService } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { serviceClient, type ServiceClient } from '../../proto/grpc-client.ts'
import { type ClientIdentity, pemOf } from './node-client.ts'

/** A connection to the admin API, with or without a certificate. */
export interface AdminConnection {
  readonly service: ServiceClient<typeof AdminService>
  close(): void
}

/** Connects by way of gRPC's own credentials. @param bundleFile PEM. */
export function connectAdmin(port: number, bundleFile: string, identity?: ClientIdentity): AdminConnection {
  const pem = identity && pemOf(identity)
  const credentials = ChannelCredentials.createSsl(
    readFileSync(bundleFile),
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
    service: serviceClient(AdminService, client, () => systemClock.now().getTime()),
    close: () => client.close(),
  }
}

/** How a caller shows a token. */
export const bearer = (token: string) => ({ timeoutMs: 10_000, metadata: { authorization: `Bearer ${token}` } })

/** What a call is refused with. */
export async function refusal(asked: Promise<unknown>): Promise<IdentityError> {
  const error = await asked.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof IdentityError) return error
  throw new Error('not refused', { cause: error })
}
