import { ApiConnection } from '../../../broker/kubernetes/api-connection.ts'
import { loadCredentials } from '../../../broker/kubernetes/credentials.ts'
import { TemplateCustomResources } from '../../../broker/kubernetes/template-custom-resources.ts'
import { TemplateStatuses } from '../../../broker/kubernetes/template-statuses.ts'
import { WatchedPods } from '../../../broker/kubernetes/watched-pods.ts'
import type { TemplateState } from '../../../broker/registration/template-source.ts'
import { systemRandom } from '../../../core/runtime/random.ts'
import { systemClock } from '../../../core/runtime/system-clock.ts'
import { serveCommands } from '../machine/remote.ts'
import { TrustDomain } from '../../../core/spiffe/trust-domain.ts'

/** What the broker does with the objects of an API server, and nothing else of it. */
let connection: ApiConnection | undefined
let began = 0
let synced = 0
let states: readonly TemplateState[] = []

const commands = {
  /** Loads all that is needed, so that the memory of code is not taken for that of objects. */
  async prepare(kubeconfig: string) {
    connection = new ApiConnection(await loadCredentials({ kubeconfig }), { clock: systemClock, maxConnections: 4 })
    await connection.send({ method: 'GET', path: '/version' }, new AbortController().signal).catch(() => {})
  },

  follow() {
    if (!connection) throw new Error('prepare first')
    began = systemClock.monotonicMs()
    const rules = {
      trustDomain: TrustDomain.parse('prod.example'),
      minTtlMs: 300_000,
      maxTtlMs: 86_400_000,
      knowsLabels: true,
    }
    const parts = { api: connection, clock: systemClock, random: systemRandom, onTrouble: () => {} }
    const onChange = () => statuses.changed()
    const source = new TemplateCustomResources({ ...parts, rules, onChange })
    const pods = new WatchedPods({ ...parts, onChange })
    const statuses = new TemplateStatuses({
      ...{ api: connection, clock: systemClock },
      objects: () => {
        if (synced === 0 && pods.seen && source.notReady() === undefined) synced = systemClock.monotonicMs()
        return source.objects
      },
      seen: () => pods.seen,
      onReviewed: (reviewed) => (states = reviewed),
      onFailed: () => {},
    })
  },

  /** Once all has been read and looked through. */
  figures() {
    globalThis.gc?.()
    return {
      syncedMs: synced - began,
      templates: states.length,
      pods: states.reduce((sum, { serves }) => sum + (serves?.pods ?? 0), 0),
    }
  },
}

export type WatchingCommands = typeof commands

serveCommands(commands)
