import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request as httpsRequest, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../core/runtime/clock.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { FakeAuthorizer } from './fake-authorizer.ts'
import { answer, type FakeApi } from './fake-kubernetes-api.ts'
import { newServerCertificate } from './fake-kubernetes-certificate.ts'
import { FakeCollection } from './fake-kubernetes-collection.ts'
import { FakeKubernetesState, type PodOptions } from './fake-kubernetes-state.ts'
import { FakeKubernetesStore } from './fake-kubernetes-store.ts'
import { FakeTokenAuthenticator, type ReviewStatus } from './fake-token-authenticator.ts'
import { TokenIssuer } from './token-issuer.ts'

/** What goes wrong instead of an answer. */
export type Fault =
  | 'hang'
  | 'reset'
  | { status: number; headers?: Record<string, string>; body?: string }
  | { answerWith: (response: ServerResponse) => void }

/** How the fake is set up. */
export interface FakeKubernetesOptions {
  readonly clock?: Clock
  readonly nodes?: readonly string[]
}

/**
 * An API server over real HTTPS, as far as attestation needs one: TokenReview, TokenRequest, JWKS, pods. The same tests
 * run against the real one (`test/attestation.cluster.test.ts`), which holds it to the truth.
 */
export class FakeKubernetes {
  readonly issuer: TokenIssuer
  readonly state: FakeKubernetesState
  readonly store = new FakeKubernetesStore()
  readonly authorizer = new FakeAuthorizer()
  /** The path of a kubeconfig for it. */
  readonly adminKubeconfig: string
  readonly url: string
  /** Paths asked for, each by how often. */
  readonly asked = new Map<string, number>()
  /** Collections that can be listed and watched, by their paths: a test makes those that it needs. */
  readonly collections = new Map<string, FakeCollection>()
  /** Connections accepted so far. */
  connections = 0
  /** Breaks what it is asked, as long as it is set. */
  fault: ((path: string, method: string) => Fault | undefined) | undefined
  /** Changes what a TokenReview says. */
  rewriteReview: ((status: ReviewStatus) => ReviewStatus) | undefined
  readonly #server: Server
  readonly #directory: string
  readonly #token = randomBytes(24).toString('base64url')
  readonly #certificate: string

  private constructor(
    { server, clock, nodes }: { server: Server; clock: Clock; nodes: readonly string[] },
    pem: string,
  ) {
    this.#server = server
    this.#certificate = pem
    this.issuer = new TokenIssuer({ clock })
    this.state = new FakeKubernetesState(clock, nodes)
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.#directory = mkdtempSync(join(tmpdir(), 'fake-kubernetes-'))
    this.adminKubeconfig = join(this.#directory, 'kubeconfig')
    writeFileSync(this.adminKubeconfig, kubeconfig(this.url, { pem, token: this.#token }), { mode: 0o600 })
    const authenticator = new FakeTokenAuthenticator({ clock, issuer: this.issuer, state: this.state })
    const api: FakeApi = {
      state: this.state,
      store: this.store,
      issuer: this.issuer,
      authorizer: this.authorizer,
      review: (token, audiences) => {
        const status = authenticator.review(token, audiences)
        return this.rewriteReview?.(structuredClone(status)) ?? status
      },
    }
    server.on('secureConnection', () => (this.connections += 1))
    server.on('request', (message: IncomingMessage, response: ServerResponse) => {
      this.#respond(api, message, response).catch(() => response.destroy())
    })
  }

  static async start({ clock = systemClock, nodes = ['node-a', 'node-b'] }: FakeKubernetesOptions = {}) {
    const { key, certificate } = newServerCertificate()
    const server = createServer({ key, cert: certificate, keepAliveTimeout: 30_000 })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new FakeKubernetes({ server, clock, nodes }, certificate)
  }

  /** TokenReviews asked for so far. */
  get reviews(): number {
    return this.asked.get('/apis/authentication.k8s.io/v1/tokenreviews') ?? 0
  }

  /** A collection that is listed and watched from now on. */
  serve(path: string): FakeCollection {
    const collection = new FakeCollection()
    this.collections.set(path, collection)
    return collection
  }

  /** A pod's token, as its kubelet would get it. */
  tokenOf(
    pod: Pick<PodOptions, 'namespace' | 'serviceAccount' | 'name'>,
    audience: string,
    lifetimeSeconds = 3600,
  ): string {
    const facts = this.state.factsOf(pod.namespace, { serviceAccount: pod.serviceAccount, pod: pod.name })
    return this.issuer.mint({ facts, audience, lifetimeSeconds })
  }

  /** Asks over HTTPS as admin. */
  request(method: string, path: string, body?: unknown): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${this.#token}` }
      const options = { method, headers, ca: this.#certificate, servername: 'fake-kubernetes', agent: false }
      const sent = httpsRequest(this.url + path, options, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
      })
      sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  /** Closes each connection, as an API server does that restarts. */
  dropConnections(): void {
    this.#server.closeAllConnections()
  }

  async stop(): Promise<void> {
    rmSync(this.#directory, { recursive: true, force: true })
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  async #respond(api: FakeApi, message: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = message.url ?? '/'
    this.asked.set(path, (this.asked.get(path) ?? 0) + 1)
    const fault = this.fault?.(path, message.method ?? '')
    if (fault === 'hang') return
    if (fault === 'reset') return void message.socket.destroy()
    if (fault && 'answerWith' in fault) return fault.answerWith(response)
    let text = ''
    for await (const chunk of message.setEncoding('utf8') as AsyncIterable<string>) text += chunk
    const allowed = message.headers.authorization === `Bearer ${this.#token}`
    const [prefix, collection] = [...this.collections].find(([one]) => path.startsWith(one)) ?? []
    if (!fault && allowed && prefix !== undefined && collection) {
      return collection.answer({ method: message.method ?? '', rest: path.slice(prefix.length), text }, response)
    }
    const reply: { status: number; headers?: Record<string, string>; body?: string } =
      fault ?? (allowed ? answer(api, { method: message.method ?? '', path, text }) : { status: 401 })
    response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers })
    response.end(reply.body ?? '{}')
  }
}

function kubeconfig(server: string, { pem, token }: { pem: string; token: string }): string {
  const ca = Buffer.from(pem).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'fake',
    clusters: [
      { name: 'fake', cluster: { server, 'certificate-authority-data': ca, 'tls-server-name': 'fake-kubernetes' } },
    ],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'admin' } }],
  })
}
