import { StatusError } from './fake-kubernetes-state.ts'

/** An object as it was written, with what the server adds. */
export interface StoredDocument {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly resourceVersion: string }
  readonly [field: string]: unknown
}

interface Named {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string }
  readonly [field: string]: unknown
}

const PATH =
  /^(?<collection>\/api\/v1\/namespaces\/[^/]+\/(?:configmaps|secrets)|\/apis\/certificates\.k8s\.io\/v1\/clustertrustbundles)(?:\/(?<name>[^/]+))?$/

/** ConfigMaps, Secrets and ClusterTrustBundles: kept as they are written, with optimistic locking. */
export class FakeKubernetesStore {
  /** By path. */
  readonly documents = new Map<string, StoredDocument>()
  /** Collections that this server does not know. */
  readonly unserved = new Set<string>()
  #version = 0

  /** @returns `undefined` for a path of something else. @throws {@link StatusError}. */
  answer(method: string, path: string, body: unknown): { status: number; object: unknown } | undefined {
    const { collection, name } = PATH.exec(path)?.groups ?? {}
    if (collection === undefined) return undefined
    if (this.unserved.has(collection)) throw new StatusError(404, 'the server could not find the requested resource')
    if (method === 'POST') return { status: 201, object: this.#create(collection, body as Named) }
    const key = `${collection}/${decodeURIComponent(name ?? '')}`
    const there = this.documents.get(key)
    if (!there) throw new StatusError(404, `${key} not found`)
    if (method === 'PUT') return { status: 200, object: this.#replace(key, there, body as Named) }
    if (method === 'DELETE') this.documents.delete(key)
    return { status: 200, object: there }
  }

  /** As somebody else would write it. */
  put(collection: string, document: Named): StoredDocument {
    const stored = { ...document, metadata: { ...document.metadata, resourceVersion: String((this.#version += 1)) } }
    this.documents.set(`${collection}/${document.metadata.name}`, stored)
    return stored
  }

  #create(collection: string, document: Named): StoredDocument {
    if (this.documents.has(`${collection}/${document.metadata.name}`)) throw new StatusError(409, 'already exists')
    return this.put(collection, document)
  }

  #replace(key: string, there: StoredDocument, document: Named): StoredDocument {
    const { resourceVersion } = document.metadata
    if (resourceVersion !== undefined && resourceVersion !== there.metadata.resourceVersion) {
      throw new StatusError(409, 'the object has been modified')
    }
    if (there['immutable'] === true) throw new StatusError(422, 'field is immutable when `immutable` is set')
    return this.put(key.slice(0, key.lastIndexOf('/')), document)
  }
}
