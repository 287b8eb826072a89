import type { Clock } from '../../core/runtime/clock.ts'
import type { IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import type { Labels } from '../registration/pod-facts.ts'
import { bytesOfLabels, readLabels } from '../registration/read-labels.ts'
import type { SeenPods, ServedPod } from '../registration/template-review.ts'
import type { ApiConnection } from './api-connection.ts'
import type { ApiObject } from './watch-events.ts'
import { WatchedList } from './watched-list.ts'

const DRIVER = 'csi.countersign.dev'
/** A pod is some ten kilobytes on the wire; of those that are kept, less than one in memory. */
const PODS = { path: '/api/v1/pods', pageSize: 100, maxItems: 150_000, maxLabelBytes: 96 * 1024 * 1024 }
const NAMESPACES = { path: '/api/v1/namespaces', pageSize: 500, maxItems: 50_000, maxLabelBytes: 24 * 1024 * 1024 }

interface Options {
  readonly api: ApiConnection
  readonly clock: Clock
  readonly random: Random
  readonly onChange: () => void
  readonly onTrouble: (what: 'pods' | 'namespaces', trouble: IdentityError | undefined) => void
}

interface KeptNamespace {
  readonly labels: Labels | undefined
}

/** As the API server types it; what comes over the wire is looked at, never believed. */
interface Pod extends ApiObject {
  readonly metadata: ApiObject['metadata'] & { readonly labels?: unknown }
  readonly spec?: { readonly serviceAccountName?: unknown; readonly volumes?: unknown } | null
  readonly status?: { readonly phase?: unknown } | null
}

/**
 * The pods that have a volume of ours, with the few facts that templates select by. For status alone: what is issued is
 * decided by what the API server says in that moment.
 */
export class WatchedPods {
  readonly #pods: WatchedList<ServedPod>
  readonly #namespaces: WatchedList<KeptNamespace>
  readonly #stop = new AbortController()
  readonly #running: Promise<unknown>

  constructor({ onChange, onTrouble, ...dependencies }: Options) {
    this.#pods = new WatchedList(dependencies, {
      ...PODS,
      bytes: { of: ({ labels }) => bytesOfLabels(labels), max: PODS.maxLabelBytes },
      transform: readPod,
      onChange,
      onTrouble: (trouble) => onTrouble('pods', trouble),
    })
    this.#namespaces = new WatchedList(dependencies, {
      ...NAMESPACES,
      bytes: { of: ({ labels }) => bytesOfLabels(labels), max: NAMESPACES.maxLabelBytes },
      transform: (object) => ({ labels: labelsOf(object) }),
      onChange,
      onTrouble: (trouble) => onTrouble('namespaces', trouble),
    })
    const { signal } = this.#stop
    this.#running = Promise.all([this.#pods.run(signal), this.#namespaces.run(signal)])
  }

  /** `undefined` as long as pods or namespaces have not been read: a number that is too small would mislead. */
  get seen(): SeenPods | undefined {
    if (!this.#pods.hasSynced || !this.#namespaces.hasSynced) return undefined
    return { pods: this.#pods.items.values(), namespaceLabels: (name) => this.#namespaces.items.get(name)?.labels }
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }
}

/** What is kept of a pod: nothing of one that has no volume of ours, or has ended. */
export function readPod(object: ApiObject): ServedPod | undefined {
  const { metadata, spec, status } = object as Pod
  const volumes: readonly unknown[] = Array.isArray(spec?.volumes) ? spec.volumes : []
  const isOurs = (volume: unknown) => (volume as Volume | null)?.csi?.driver === DRIVER
  if (!volumes.some(isOurs)) return undefined
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined
  const account = spec?.serviceAccountName
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    serviceAccount: typeof account === 'string' ? account : 'default',
    labels: labelsOf(object),
  }
}

interface Volume {
  readonly csi?: { readonly driver?: unknown } | null
}

function labelsOf(object: ApiObject): Labels | undefined {
  return readLabels((object as Pod).metadata.labels)
}
