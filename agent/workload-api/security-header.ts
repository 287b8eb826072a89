import type { Metadata } from '@grpc/grpc-js'
import { IdentityError } from '../../core/runtime/errors.ts'

/**
 * SPIFFE Workload Endpoint §3: each call carries `workload.spiffe.io: true`, once and exactly so. A browser or another
 * program that was tricked into a request cannot set it. Looked at before all else.
 *
 * @throws {@link IdentityError} `security_header_missing`.
 */
export function checkSecurityHeader(metadata: Metadata): void {
  const values = metadata.get('workload.spiffe.io')
  if (values.length !== 1 || values[0] !== 'true')
    throw new IdentityError('security_header_missing', 'the metadata workload.spiffe.io: true is missing')
}
