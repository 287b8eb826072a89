import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { type AdminChannel, openAdminChannel } from '../broker/admin-channel.ts'
import { inFile, readText } from '../files/text-file.ts'
import { ADMIN_PORT, BROKER_SELECTOR, SYSTEM_NAMESPACE, TRUST_BUNDLE } from '../installation/names.ts'
import { mintAdminToken } from '../kubernetes/admin-token.ts'
import { type Cluster, openCluster } from '../kubernetes/cluster.ts'
import { forwardPort } from '../kubernetes/port-forward.ts'
import { readyPod } from '../kubernetes/ready-pod.ts'
import { publishedBundle } from '../kubernetes/published-bundle.ts'
import type { GlobalOptions } from './options.ts'
import { readTrustBundle } from '../trust/trust-bundle.ts'

/** What a command works with; each part is opened when it is first asked for, and only once. */
export class Session {
  readonly options: GlobalOptions
  readonly clock: Clock
  readonly #closers: (() => void)[] = []
  #cluster: Promise<Cluster> | undefined
  #admin: Promise<AdminChannel> | undefined

  constructor(options: GlobalOptions, clock: Clock) {
    this.options = options
    this.clock = clock
  }

  cluster(): Promise<Cluster> {
    const { kubeconfig, context, requestTimeoutMs } = this.options
    return (this.#cluster ??= openCluster({ kubeconfig, context, requestTimeoutMs }))
  }

  /**
   * The namespace of the flag, else that of the context.
   *
   * @throws {@link IdentityError} `config_invalid` where nothing says which.
   */
  async namespace(): Promise<string> {
    const { namespace, broker, bundleFile, tokenFile } = this.options
    if (namespace !== undefined) return namespace
    try {
      return (await this.cluster()).namespace
    } catch (error) {
      // Who reaches the broker without a cluster has no context, and need not be told of kubeconfigs.
      const needsNone = broker !== undefined && bundleFile !== undefined && tokenFile !== undefined
      if (!needsNone || !(error instanceof IdentityError)) throw error
      throw new IdentityError(
        'config_invalid',
        'which namespace? There is no kubeconfig that says so: give --namespace',
        {
          cause: error,
        },
      )
    }
  }

  /** What the ConfigMap of the installation holds; `undefined` without it. */
  async publishedBundle(): Promise<X509Bundle | undefined> {
    return publishedBundle(await this.cluster(), this.options.trustDomain)
  }

  /** What the broker is known by. */
  async trustBundle(): Promise<X509Bundle> {
    const { bundleFile, trustDomain } = this.options
    if (bundleFile !== undefined) {
      const text = await readText(bundleFile)
      return inFile(bundleFile, () => readTrustBundle(text, trustDomain))
    }
    const published = await this.publishedBundle()
    if (published) return published
    throw new IdentityError(
      'broker_unavailable',
      `nothing that the chart installs is found here: there is no ConfigMap ${TRUST_BUNDLE.namespace}/${TRUST_BUNDLE.name} to know the broker by. Is it the right cluster (--context)? A broker that was installed in another way is known by --bundle-file`,
    )
  }

  /** The broker's admin API. */
  admin(): Promise<AdminChannel> {
    return (this.#admin ??= this.#openAdmin())
  }

  close(): void {
    for (const close of this.#closers) close()
  }

  async #openAdmin(): Promise<AdminChannel> {
    const { broker, tokenFile, trustDomain, requestTimeoutMs: timeoutMs } = this.options
    const bundle = await this.trustBundle()
    const token =
      tokenFile === undefined
        ? await mintAdminToken(await this.cluster(), bundle.trustDomain)
        : await readToken(tokenFile)
    const path = broker === undefined ? await this.#forward() : { address: broker }
    const channel = openAdminChannel({
      address: path.address,
      bundle,
      saidBy: trustDomain === undefined ? 'as the trust bundle says' : '--trust-domain',
      token,
      clock: this.clock,
      timeoutMs,
      ...('failure' in path && { pathFailure: path.failure }),
    })
    this.#closers.push(() => channel.close())
    return channel
  }

  async #forward() {
    const cluster = await this.cluster()
    const pod = await readyPod(cluster, SYSTEM_NAMESPACE, BROKER_SELECTOR)
    const forward = await forwardPort(cluster, { namespace: SYSTEM_NAMESPACE, pod, port: ADMIN_PORT })
    this.#closers.push(() => forward.close())
    return forward
  }
}

/** RFC 6750 §2.1. What is none is told of here: gRPC would repeat it (invariant 6). */
const TOKEN = /^[\w.~+/-]+=*$/
const MAX_TOKEN_CHARACTERS = 16 * 1024

async function readToken(file: string): Promise<string> {
  const token = (await readText(file)).trim()
  if (token.length <= MAX_TOKEN_CHARACTERS && TOKEN.test(token)) return token
  throw new IdentityError('config_invalid', `${file} holds no token`)
}
