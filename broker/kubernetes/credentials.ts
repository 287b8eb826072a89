import type { RequestOptions } from 'node:https'
import type { SecureContextOptions } from 'node:tls'
import { IdentityError } from '../../core/runtime/errors.ts'

/** How the API server is reached and who asks. */
export interface ClusterAccess {
  /** A kubeconfig; without one the Pod's own ServiceAccount in the cluster. */
  readonly kubeconfig?: string | undefined
  /** A context of the kubeconfig other than its current one. */
  readonly context?: string | undefined
}

/** What a request needs at this moment. Holds a secret: never logged. */
export interface Credentials {
  readonly tls: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> & { readonly servername?: string }
  readonly headers: Readonly<Record<string, string>>
}

/** An API server and credentials that are read again, since a mounted token is replaced every hour. */
export interface ApiServer {
  readonly url: URL
  credentials(): Promise<Credentials>
}

/**
 * Reads kubeconfig or in-cluster configuration with the Kubernetes client, exec plugins and OIDC included. The client
 * costs 60 MiB and is loaded only here, so that a broker without a cluster does without.
 *
 * @throws {@link IdentityError} `config_invalid`.
 */
export async function loadCredentials({ kubeconfig, context }: ClusterAccess): Promise<ApiServer> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  try {
    if (kubeconfig === undefined) config.loadFromCluster()
    else config.loadFromFile(kubeconfig)
    if (context !== undefined) config.setCurrentContext(context)
  } catch (error) {
    // Not the error itself: a parser quotes the lines it stumbled over, and a kubeconfig holds secrets (invariant 6).
    throw new IdentityError(
      'config_invalid',
      `${kubeconfig ?? 'in-cluster configuration'}: cannot be read${whereOf(error)}`,
    )
  }
  const cluster = config.getCurrentCluster()
  const name = kubeconfig ?? 'in-cluster configuration'
  if (!cluster) throw new IdentityError('config_invalid', `${name}: its current context names no cluster`)
  const url = URL.parse(cluster.server)
  if (url?.protocol !== 'https:') throw new IdentityError('config_invalid', `${name}: the server is not an https URL`)
  if (cluster.skipTLSVerify) {
    // Whoever can be taken for the API server decides who everybody is.
    throw new IdentityError('config_invalid', `${name}: insecure-skip-tls-verify is not allowed`)
  }
  if (cluster.proxyUrl) throw new IdentityError('config_invalid', `${name}: proxy-url is not supported`)
  return {
    url,
    async credentials() {
      const options: RequestOptions = {}
      await config.applyToHTTPSOptions(options)
      const { ca, cert, key, servername, headers, auth } = options
      const basic = auth ? { Authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {}
      return {
        tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), ...(servername && { servername }) },
        headers: { ...basic, ...(headers as Record<string, string> | undefined) },
      }
    },
  }
}

/** What may be told of a failure to read: the system's code, or the line where YAML went wrong. */
function whereOf(error: unknown): string {
  const { code, mark } = error as { readonly code?: unknown; readonly mark?: { readonly line?: unknown } }
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return `: ${code}`
  return typeof mark?.line === 'number' ? `: line ${mark.line + 1} is no valid YAML` : ''
}
