import { IdentityError } from '../../core/runtime/errors.ts'
import type { Urgency } from './signing-budget.ts'

/** One SVID to issue. */
export interface X509SvidItem {
  readonly requestId: string
  readonly token: string
  /** DER of a PKCS#10 request. */
  readonly csr: Uint8Array
  readonly podUid: string
  readonly urgency: Urgency
}

const MAX_REQUEST_ID_BYTES = 128
const MAX_POD_UID_BYTES = 128

/**
 * Step 1 of the cycle: what can be said of a batch before anything in it is believed. A batch that is wrong in itself is
 * refused whole, for nobody could tell which of its answers belongs to whom. (The size of token and CSR is looked at by
 * whoever reads them; two requests that differ but prove the same key are found in step 4.)
 *
 * @throws `IdentityError` `request_invalid`, `batch_too_large`, `batch_duplicate`.
 */
export function checkBatch(items: readonly X509SvidItem[], maxItems: number): void {
  if (items.length === 0) throw new IdentityError('request_invalid', 'requests is empty; ask for at least one SVID')
  if (items.length > maxItems) {
    throw new IdentityError('batch_too_large', `a batch holds at most ${maxItems} requests, not ${items.length}`)
  }
  for (const { requestId, podUid } of items) {
    checkText('request_id', requestId, MAX_REQUEST_ID_BYTES)
    checkText('pod_uid', podUid, MAX_POD_UID_BYTES)
  }
  if (items.length === 1) return
  const requestIds = new Set(items.map(({ requestId }) => requestId))
  const requests = new Set(items.map(({ csr }) => Buffer.from(csr).toString('latin1')))
  if (requestIds.size < items.length) {
    throw new IdentityError('batch_duplicate', 'two requests have the same request_id')
  }
  if (requests.size < items.length) throw new IdentityError('batch_duplicate', 'two requests have the same key')
}

function checkText(field: string, text: string, maxBytes: number): void {
  if (text === '' || Buffer.byteLength(text) > maxBytes) {
    throw new IdentityError('request_invalid', `${field} has 1 to ${maxBytes} bytes`)
  }
}
