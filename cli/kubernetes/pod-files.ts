import { PassThrough } from 'node:stream'
import type { Exec, V1Pod } from '@kubernetes/client-node'
import { IdentityError } from '../../core/runtime/errors.ts'
import { printableLine } from '../../core/runtime/printable.ts'
import { CSI_DRIVER } from '../installation/names.ts'
import type { Cluster } from './cluster.ts'

/** A certificate chain and a bundle take a few KiB. */
const MAX_BYTES = 1024 * 1024
/** What `cat` says of a file that it cannot read is short. */
const MAX_MESSAGE = 2048

/** Runs a command in a container, as the Kubernetes client does. */
export interface ExecPort {
  exec(
    ...args: Parameters<Exec['exec']>
  ): Promise<{ close(): void; addEventListener(type: 'close', listener: () => void): void }>
}

/** Where a pod has a volume of ours. */
export interface MountedVolume {
  readonly container: string
  readonly path: string
}

/**
 * The first container of a pod that mounts a volume of ours.
 *
 * @throws {@link IdentityError} `identity_not_found` if there is none, or nothing can be read in it yet or any more.
 */
export async function mountedVolume(cluster: Cluster, namespace: string, pod: string): Promise<MountedVolume> {
  const found = await cluster.find(`get pods ${pod} in namespace ${namespace}`, ({ core }) =>
    core.readNamespacedPod({ namespace, name: pod }),
  )
  if (!found) throw new IdentityError('identity_not_found', `there is no pod ${namespace}/${pod}`)
  const ours = new Set(found.spec?.volumes?.flatMap(({ name, csi }) => (csi?.driver === CSI_DRIVER ? [name] : [])))
  for (const { name: container, volumeMounts } of found.spec?.containers ?? []) {
    const mount = volumeMounts?.find(({ name }) => ours.has(name))
    if (!mount) continue
    checkThatItRuns(found, container)
    return { container, path: mount.mountPath }
  }
  throw new IdentityError('identity_not_found', `pod ${namespace}/${pod} mounts no volume of ${CSI_DRIVER}`)
}

/** Where a container does not run, the API server says no more than "500" to whoever would run a command in it. */
function checkThatItRuns({ metadata, status }: V1Pod, container: string): void {
  const state = status?.containerStatuses?.find(({ name }) => name === container)?.state
  if (state ? state.running : status?.phase !== 'Pending') return
  const why = printableLine(state?.waiting?.reason ?? state?.terminated?.reason ?? 'Pending')
  const pod = `${metadata?.namespace}/${metadata?.name}`
  throw new IdentityError(
    'identity_not_found',
    `container ${container} of ${pod} does not run (${why}); countersign explain pod may say why`,
  )
}

/**
 * Reads a file in a container by `cat`, as `kubectl exec` would. The container's `cat` says what it likes, and its author
 * named the path: neither makes a line of its own in what is told of it.
 *
 * @throws {@link IdentityError} `kubernetes_forbidden`, `request_invalid` if the container has no `cat`.
 */
export async function readPodFile(
  cluster: Cluster,
  {
    namespace,
    pod,
    container,
    file,
    timeoutMs,
  }: { namespace: string; pod: string; container: string; file: string; timeoutMs: number },
  execIn: (cluster: Cluster) => Promise<ExecPort> = clientsExec,
): Promise<string> {
  const client = await execIn(cluster)
  const what = printableLine(`read ${file} in container ${container} of ${namespace}/${pod}`)
  const streams = { out: collect(MAX_BYTES), err: collect(MAX_MESSAGE) }
  const signal = AbortSignal.timeout(timeoutMs)
  const status = await new Promise<{ readonly status?: string; readonly message?: string }>((resolve, reject) => {
    const late = () => reject(new IdentityError('deadline_exceeded', `no answer in time: ${what}`))
    signal.addEventListener('abort', late, { once: true })
    client
      .exec(namespace, pod, container, ['cat', file], streams.out.stream, streams.err.stream, null, false, resolve)
      .then(
        (connection) => {
          signal.addEventListener('abort', () => connection.close(), { once: true })
          connection.addEventListener('close', () =>
            reject(new IdentityError('kubernetes_unavailable', `the connection ended: ${what}`)),
          )
        },
        (error: unknown) => reject(refusal(error, what, namespace)),
      )
  })
  if (status.status === 'Success') return streams.out.text()
  const said = printableLine((status.message ?? streams.err.text()).trim())
  throw new IdentityError(
    'request_invalid',
    `cannot ${what}: ${said} (it needs cat in the image; countersign explain pod and identity list need nothing there)`,
  )
}

async function clientsExec({ kubeConfig }: Cluster): Promise<ExecPort> {
  const { Exec } = await import('@kubernetes/client-node')
  return new Exec(kubeConfig)
}

function collect(maxLength: number) {
  const stream = new PassThrough()
  let text = ''
  stream.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(0, maxLength)))
  return { stream, text: () => text }
}

function refusal(error: unknown, what: string, namespace: string): IdentityError {
  const message = printableLine(String((error as { readonly message?: unknown }).message ?? error))
  if (message.includes('403'))
    return new IdentityError(
      'kubernetes_forbidden',
      `you may not ${what}: create pods/exec in namespace ${namespace} is missing`,
    )
  return new IdentityError('kubernetes_unavailable', `cannot ${what}: ${message}`)
}
