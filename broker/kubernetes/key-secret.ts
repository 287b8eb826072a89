import { IdentityError } from '../../core/runtime/errors.ts'
import type { KeySecret } from '../ca/wrapping-key-secret.ts'
import type { ApiConnection } from './api-connection.ts'
import { parseJson } from './json.ts'

/** The key in the Secret's data: as a file would be called that holds the same. */
const DATA_KEY = 'wrapping.key'

/**
 * A wrapping key in a Secret, `namespace/name`. What the API server answers is quoted nowhere (invariant 6).
 */
export function keySecret(api: ApiConnection, reference: string): KeySecret {
  const [namespace = '', name = ''] = reference.split('/')
  const collection = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets`
  const title = `Secret ${reference}`
  return {
    title,
    async read(signal) {
      const path = `${collection}/${encodeURIComponent(name)}`
      const { status, body } = await api.send({ method: 'GET', path, background: true }, signal)
      if (status === 404) return undefined
      if (status !== 200) throw answered(status, `a look at ${title}`)
      const { data } = parseJson(body) as { data?: Record<string, unknown> }
      const encoded = data?.[DATA_KEY]
      if (typeof encoded !== 'string') {
        throw new IdentityError('key_store_locked', `${title} has no ${DATA_KEY}: base64 of 32 random bytes`)
      }
      return Buffer.from(encoded, 'base64').toString('latin1')
    },
    async create(text, signal) {
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: {
          name,
          namespace,
          labels: { 'app.kubernetes.io/name': 'countersign', 'app.kubernetes.io/managed-by': 'countersign-broker' },
        },
        type: 'Opaque',
        // Another key in its place would lock the ledger.
        immutable: true,
        data: { [DATA_KEY]: Buffer.from(text).toString('base64') },
      }
      const { status } = await api.send(
        { method: 'POST', path: collection, body: JSON.stringify(secret), background: true },
        signal,
      )
      if (status === 409) return false
      if (status !== 201) throw answered(status, `the creation of ${title}`)
      return true
    },
  }
}

function answered(status: number, what: string): IdentityError {
  return new IdentityError('kubernetes_unavailable', `the API server answers ${status} to ${what}`, {
    retryAfterMs: 1000,
  })
}
