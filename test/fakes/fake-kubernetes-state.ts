import { randomUUID } from 'node:crypto'
import type { TokenFacts } from '../../broker/attestation/attested.ts'
import type { Clock } from '../../core/runtime/clock.ts'

/** What is kept of an object. */
export interface StoredObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid: string
    readonly labels: Record<string, string>
    readonly creationTimestamp: string
    deletionTimestamp?: string
  }
  readonly spec: {
    readonly nodeName?: string
    readonly serviceAccountName?: string
    readonly volumes?: readonly Readonly<Record<string, unknown>>[]
    readonly containers?: readonly Readonly<Record<string, unknown>>[]
  }
  status?: Readonly<Record<string, unknown>>
}

export type ObjectKind = 'namespaces' | 'nodes' | 'serviceaccounts' | 'pods'

/** An answer of the API server that is not 2xx. */
export class StatusError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** The objects of a fake cluster, and the rules that attestation depends on. */
export class FakeKubernetesState {
  readonly #clock: Clock
  readonly #objects = new Map<string, StoredObject>()

  constructor(clock: Clock, nodes: readonly string[]) {
    this.#clock = clock
    this.create('namespaces', { name: 'default' })
    for (const name of nodes) this.create('nodes', { name })
  }

  create(
    kind: ObjectKind,
    metadata: { name: string; namespace?: string; labels?: Record<string, string> },
    spec: StoredObject['spec'] = {},
  ): StoredObject {
    const key = keyOf(kind, metadata)
    if (this.#objects.has(key)) throw new StatusError(409, `${key} already exists`)
    if (metadata.namespace !== undefined) this.get('namespaces', { name: metadata.namespace })
    if (kind === 'pods') {
      this.get('serviceaccounts', { name: spec.serviceAccountName ?? 'default', namespace: metadata.namespace ?? '' })
    }
    const labels = kind === 'namespaces' ? { 'kubernetes.io/metadata.name': metadata.name } : {}
    const object: StoredObject = {
      metadata: {
        ...metadata,
        labels: { ...labels, ...metadata.labels },
        uid: randomUUID(),
        creationTimestamp: this.#clock
          .now()
          .toISOString()
          .replace(/\.\d+Z$/, 'Z'),
      },
      spec,
      ...(kind === 'pods' && { status: { phase: spec.nodeName === undefined ? 'Pending' : 'Running' } }),
    }
    this.#objects.set(key, object)
    return object
  }

  list(kind: ObjectKind): StoredObject[] {
    return [...this.#objects].filter(([key]) => key.startsWith(`${kind}/`)).map(([, object]) => object)
  }

  /** @throws {@link StatusError} 404. */
  get(kind: ObjectKind, name: { name: string; namespace?: string }): StoredObject {
    const object = this.find(kind, name)
    if (!object) throw new StatusError(404, `${keyOf(kind, name)} not found`)
    return object
  }

  find(kind: ObjectKind, name: { name: string; namespace?: string }): StoredObject | undefined {
    return this.#objects.get(keyOf(kind, name))
  }

  /** A pod on a node gets its grace period, at the end of which its kubelet removes it: here nobody does. */
  delete(kind: ObjectKind, name: { name: string; namespace?: string }, graceSeconds = 0): void {
    const object = this.get(kind, name)
    if (kind !== 'pods' || graceSeconds === 0) this.#objects.delete(keyOf(kind, name))
    else {
      const gone = new Date(this.#clock.now().getTime() + graceSeconds * 1000)
      object.metadata.deletionTimestamp ??= gone.toISOString()
    }
  }

  /** A pod with all that it needs. */
  addPod({ namespace, serviceAccount, name, node, labels = {} }: PodOptions): TokenFacts {
    if (!this.find('namespaces', { name: namespace })) this.create('namespaces', { name: namespace })
    if (!this.find('serviceaccounts', { name: serviceAccount, namespace })) {
      this.create('serviceaccounts', { name: serviceAccount, namespace })
    }
    this.create('pods', { name, namespace, labels }, { nodeName: node, serviceAccountName: serviceAccount })
    return this.factsOf(namespace, { serviceAccount, pod: name }) as TokenFacts
  }

  /** What a token for the ServiceAccount says, bound to one of its pods or not. */
  factsOf(
    namespace: string,
    { serviceAccount, pod, podUid }: { serviceAccount: string; pod?: string; podUid?: string },
  ): Pick<TokenFacts, 'namespace' | 'serviceAccount' | 'serviceAccountUid'> & Partial<TokenFacts> {
    const { metadata: account } = this.get('serviceaccounts', { name: serviceAccount, namespace })
    const facts = { namespace, serviceAccount, serviceAccountUid: account.uid, tokenId: randomUUID() }
    if (pod === undefined) return facts
    const { metadata, spec } = this.get('pods', { name: pod, namespace })
    if (podUid !== undefined && podUid !== metadata.uid) throw new StatusError(409, 'the UID of the pod differs')
    if (spec.serviceAccountName !== serviceAccount) throw new StatusError(403, 'the pod uses another ServiceAccount')
    const node = this.find('nodes', { name: spec.nodeName ?? '' })
    return {
      ...facts,
      podName: pod,
      podUid: metadata.uid,
      ...(spec.nodeName !== undefined && { nodeName: spec.nodeName }),
      ...(node && { nodeUid: node.metadata.uid }),
    }
  }
}

/** A pod to be made. */
export interface PodOptions {
  readonly namespace: string
  readonly serviceAccount: string
  readonly name: string
  readonly node: string
  readonly labels?: Record<string, string>
}

function keyOf(kind: ObjectKind, { namespace = '', name }: { namespace?: string; name: string }): string {
  return `${kind}/${namespace}/${name}`
}
