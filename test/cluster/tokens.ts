import { waitFor } from './base/wait.ts'
import { callApi, requestApi } from './components/api-request.ts'
import { PAUSE_IMAGE } from './images/catalog.ts'
import type { NodeName } from './layout.ts'

export interface TokenOptions {
  namespace: string
  serviceAccount: string
  /** Default: the API server's own. */
  audience?: string
  /** The pod that the token is bound to, by name; it must use the ServiceAccount. */
  pod?: string
  /** Seconds, at least 600. Default 3600. */
  expirationSeconds?: number
}

/** Asks the TokenRequest API, as kubelet does for a pod. */
export async function createToken(options: TokenOptions): Promise<string> {
  const { namespace, serviceAccount, audience, pod, expirationSeconds = 3600 } = options
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`
  const { status } = await callApi<{ status: { token: string } }>('POST', path, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      ...(audience === undefined ? {} : { audiences: [audience] }),
      ...(pod === undefined ? {} : { boundObjectRef: await podReference(namespace, pod) }),
      expirationSeconds,
    },
  })
  return status.token
}

export interface PlaceholderOptions {
  namespace: string
  serviceAccount: string
  node: NodeName
}

/**
 * Makes a pod on `node` that does nothing, for a process that stands in for it: a token bound to it is what such a
 * pod would have. Makes the ServiceAccount too, and returns the pod's name; asked again, it finds both.
 */
export async function createPlaceholderPod({ namespace, serviceAccount, node }: PlaceholderOptions): Promise<string> {
  const name = `${serviceAccount}-${node}`
  await create(`/api/v1/namespaces/${namespace}/serviceaccounts`, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: serviceAccount, namespace },
  })
  await create(`/api/v1/namespaces/${namespace}/pods`, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: {
      nodeName: node,
      serviceAccountName: serviceAccount,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'placeholder', image: PAUSE_IMAGE }],
    },
  })
  return name
}

async function create(path: string, object: object): Promise<void> {
  // A namespace just made refuses pods until its default ServiceAccount is there.
  await waitFor(
    `POST ${path}`,
    async () => {
      const { status, body } = await requestApi('POST', path, object)
      if (status >= 300 && status !== 409) throw new Error(`${status} ${body}`)
      return true
    },
    { timeout: 15_000 },
  )
}

async function podReference(namespace: string, name: string): Promise<object> {
  const { metadata } = await callApi<{ metadata: { uid: string } }>(
    'GET',
    `/api/v1/namespaces/${namespace}/pods/${name}`,
  )
  return { apiVersion: 'v1', kind: 'Pod', name, uid: metadata.uid }
}
