import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { orAborted } from '../attestation/deadline.ts'
import { ExpiringCache } from '../attestation/expiring-cache.ts'
import type { Labels, PodFacts, PodName } from '../registration/pod-facts.ts'
import { bytesOfLabels, labelsOr, readLabels } from '../registration/read-labels.ts'
import type { ApiConnection, ApiResponse } from './api-connection.ts'
import { parseJson } from './json.ts'

/** Labels change what a pod gets at its next renewal; so old may they be. Usual ones take half a kilobyte. */
const CACHE = {
  ...{ ttlMs: 10_000, maxEntries: 10_000 },
  bytes: { of: ({ labels }: Metadata) => bytesOfLabels(labels), max: 16 * 1024 * 1024 },
}
/** Only what is asked for crosses the wire: a pod's specification may take a megabyte. */
const METADATA_ONLY = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'

interface Metadata {
  readonly uid: string
  /** `undefined`: more than are read. */
  readonly labels: Labels | undefined
}

/** Labels of pods and namespaces, asked of the API server and kept for seconds. */
export class ApiServerPodFacts implements PodFacts {
  readonly #api: ApiConnection
  readonly #clock: Clock
  readonly #cache: ExpiringCache<Metadata>
  readonly #asking = new Map<string, Promise<Metadata>>()

  constructor(api: ApiConnection, clock: Clock) {
    this.#api = api
    this.#clock = clock
    this.#cache = new ExpiringCache(clock, CACHE)
  }

  async podLabels({ namespace, podName, podUid }: PodName, signal: AbortSignal): Promise<Labels> {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(podName)}`
    // The UID is part of the key: a new pod of the same name is looked up anew.
    const { uid, labels } = await this.#metadata(path, `${podUid} ${path}`, signal)
    if (uid !== podUid) throw gone('the pod of that name is another one')
    return labelsOr(labels, 'pod')
  }

  async namespaceLabels(namespace: string, signal: AbortSignal): Promise<Labels> {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}`
    const { labels } = await this.#metadata(path, path, signal)
    return labelsOr(labels, 'namespace')
  }

  /** Asked once for all who ask at the same time: a node that starts has many pods of few namespaces. */
  async #metadata(path: string, key: string, signal: AbortSignal): Promise<Metadata> {
    const known = this.#cache.get(key)
    if (known) return known
    const asking = this.#asking.get(key) ?? this.#ask(path, key)
    this.#asking.set(key, asking)
    return orAborted(asking, signal)
  }

  async #ask(path: string, key: string): Promise<Metadata> {
    const askedAtMs = this.#clock.monotonicMs()
    try {
      // Whoever asked first may go; the connection has a deadline of its own.
      const response = await this.#api.send(
        { method: 'GET', path, accept: METADATA_ONLY },
        new AbortController().signal,
      )
      const found = readMetadata(response)
      this.#cache.set(key, found, askedAtMs)
      return found
    } finally {
      this.#asking.delete(key)
    }
  }
}

function readMetadata({ status, body }: ApiResponse): Metadata {
  if (status === 404) throw gone('it is not found')
  if (status !== 200) {
    throw new IdentityError('kubernetes_unavailable', `the API server answers ${status} to a look-up`, {
      retryAfterMs: 1000,
    })
  }
  const { metadata } = parseJson(body) as { metadata?: { uid?: string; labels?: unknown } }
  return { uid: metadata?.uid ?? '', labels: readLabels(metadata?.labels) }
}

function gone(why: string): IdentityError {
  return new IdentityError('token_rejected', 'the pod that the token is bound to is gone', {
    cause: new Error(`PodFacts: ${why}`),
  })
}
