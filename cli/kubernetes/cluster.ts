import type {
  ApiextensionsV1Api,
  AppsV1Api,
  AuthorizationV1Api,
  CertificatesV1Api,
  CoreV1Api,
  KubeConfig,
  StorageV1Api,
  VersionApi,
} from '@kubernetes/client-node'
import { IdentityError } from '../../core/runtime/errors.ts'
import { kubernetesError } from './kubernetes-error.ts'

/** What the client takes where it finds no kubeconfig at all: nobody's cluster. */
const NOWHERE = 'http://localhost:8080'

/** Which cluster, and who asks: kubectl's flags with kubectl's meaning. */
export interface ClusterOptions {
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
  readonly requestTimeoutMs: number
}

/** The API server's groups that are asked. Every request has a deadline; `call` turns failures into refusals. */
export interface Cluster {
  readonly kubeConfig: KubeConfig
  /** For messages. */
  readonly server: string
  /** The namespace of the context, as kubectl would use it. */
  readonly namespace: string
  readonly core: CoreV1Api
  readonly apps: AppsV1Api
  readonly storage: StorageV1Api
  readonly extensions: ApiextensionsV1Api
  readonly authorization: AuthorizationV1Api
  readonly certificates: CertificatesV1Api
  readonly version: VersionApi
  /** @throws {@link IdentityError} `kubernetes_forbidden`, `kubernetes_unavailable`. */
  call<T>(what: string, ask: (cluster: Cluster) => Promise<T>): Promise<T>
  /** As {@link call}; `undefined` for what does not exist. */
  find<T>(what: string, ask: (cluster: Cluster) => Promise<T>): Promise<T | undefined>
}

/**
 * Reads the kubeconfig as kubectl does: the flag, else `KUBECONFIG`, else `~/.kube/config`, else the pod's own
 * ServiceAccount. The client takes half a second to load, so that only who needs a cluster pays for it.
 *
 * @throws {@link IdentityError} `config_invalid`.
 */
export async function openCluster({ kubeconfig, context, requestTimeoutMs }: ClusterOptions): Promise<Cluster> {
  const client = await import('@kubernetes/client-node')
  const config = new client.KubeConfig()
  try {
    if (kubeconfig === undefined) config.loadFromDefault()
    else config.loadFromFile(kubeconfig)
  } catch (error) {
    // Not the error itself: a parser quotes the lines it stumbled over, and a kubeconfig holds secrets (invariant 6).
    const { code, path } = error as NodeJS.ErrnoException
    const why = typeof code === 'string' && /^E[A-Z]+$/.test(code) ? code : 'it is no kubeconfig'
    const file = kubeconfig ?? path ?? fileOfEnvironment() ?? '~/.kube/config'
    throw new IdentityError('config_invalid', `${file} cannot be read: ${why}`)
  }
  if (context !== undefined) {
    if (!config.getContextObject(context))
      throw new IdentityError('config_invalid', `the kubeconfig has no context '${context}'`)
    config.setCurrentContext(context)
  }
  const server = config.getCurrentCluster()?.server
  if (kubeconfig === undefined && server === NOWHERE)
    throw new IdentityError(
      'config_invalid',
      'there is no kubeconfig: neither KUBECONFIG nor ~/.kube/config names a cluster; give --kubeconfig',
    )
  if (server === undefined)
    throw new IdentityError('config_invalid', 'no cluster is configured: give --kubeconfig, and a --context of it')
  const configuration = client.createConfiguration({
    baseServer: new client.ServerConfiguration(server, {}),
    authMethods: { default: config },
    promiseMiddleware: [
      {
        pre: (request) => {
          // Not the Clock: its timer would keep the program alive after the answer.
          request.setSignal(AbortSignal.timeout(requestTimeoutMs))
          return Promise.resolve(request)
        },
        post: (response) => Promise.resolve(response),
      },
    ],
  })
  const cluster: Cluster = {
    kubeConfig: config,
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    core: new client.CoreV1Api(configuration),
    apps: new client.AppsV1Api(configuration),
    storage: new client.StorageV1Api(configuration),
    extensions: new client.ApiextensionsV1Api(configuration),
    authorization: new client.AuthorizationV1Api(configuration),
    certificates: new client.CertificatesV1Api(configuration),
    version: new client.VersionApi(configuration),
    async call(what, ask) {
      try {
        return await ask(cluster)
      } catch (error) {
        throw kubernetesError(error, { what, server })
      }
    },
    async find(what, ask) {
      try {
        return await ask(cluster)
      } catch (error) {
        if ((error as { code?: unknown }).code === 404) return undefined
        throw kubernetesError(error, { what, server })
      }
    },
  }
  return cluster
}

/** For whoever did not write `--kubeconfig`, and may not know of the variable. */
function fileOfEnvironment(): string | undefined {
  const file = process.env['KUBECONFIG']
  return file ? `KUBECONFIG=${file}` : undefined
}
