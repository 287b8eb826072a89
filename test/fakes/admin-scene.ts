import { PERMISSIONS } from '../../broker/admin/permissions.ts'
import { type AdminConnection, connectAdmin } from './admin-client.ts'
import { FakeKubernetes } from './fake-kubernetes.ts'
import { type ClientIdentity, connectTo, newCsr, type NodeConnection } from './node-client.ts'
import { AUDIENCE, runningBroker } from './running-broker.ts'

export const ADMIN_AUDIENCE = `${AUDIENCE}/admin`
export const OPTIONS = { timeoutMs: 10_000 }
const AGENT = { namespace: 'countersign-agent', serviceAccount: 'countersign-agent', name: 'agent-a' }
export const CART = { namespace: 'shop', serviceAccount: 'cart', name: 'cart-0' }
export const VOLUME = { name: 'identity', csi: { driver: 'csi.countersign.dev', readOnly: true } }
const MOUNTS = [{ name: 'main', volumeMounts: [{ name: 'identity' }] }]

/**
 * A broker with its admin API beside a fake API server, and one agent. In the namespace `ops` there are ServiceAccounts:
 * `operator` may do everything, `namespaced` the same in the namespace `shop`, `nobody` and `breaker` nothing.
 */
export class AdminScene {
  readonly kubernetes: FakeKubernetes
  readonly broker: Awaited<ReturnType<typeof runningBroker>>
  /** Without a certificate. */
  readonly admin: AdminConnection
  readonly agent: NodeConnection & { readonly identity: ClientIdentity }

  static async start(): Promise<AdminScene> {
    const kubernetes = await FakeKubernetes.start({ nodes: ['node-a'] })
    kubernetes.state.addPod({ ...AGENT, node: 'node-a' })
    kubernetes.state.create('namespaces', { name: 'shop' })
    kubernetes.state.create('serviceaccounts', { name: 'cart', namespace: 'shop' })
    kubernetes.state.create('namespaces', { name: 'ops' })
    for (const name of ['operator', 'nobody', 'namespaced', 'breaker']) {
      kubernetes.state.create('serviceaccounts', { name, namespace: 'ops' })
    }
    for (const { verb, resource } of Object.values(PERMISSIONS)) {
      kubernetes.authorizer.grants.push(
        { to: 'system:serviceaccount:ops:operator', verb, resource },
        { to: 'system:serviceaccount:ops:namespaced', verb, resource, namespace: 'shop' },
      )
    }
    const broker = await runningBroker({
      change: {
        attestation: { mode: 'tokenReview' },
        kubernetes: { kubeconfig: kubernetes.adminKubeconfig },
        admin: { listen: '127.0.0.1:0' },
      },
    })
    return new AdminScene(kubernetes, broker, await attestedAgent(kubernetes, broker))
  }

  private constructor(kubernetes: FakeKubernetes, broker: AdminScene['broker'], agent: AdminScene['agent']) {
    this.kubernetes = kubernetes
    this.broker = broker
    this.agent = agent
    this.admin = this.connect()
  }

  connect(identity?: ClientIdentity): AdminConnection {
    return connectAdmin(this.broker.adminPort ?? 0, this.broker.folder.bundleFile, identity)
  }

  /** A token as TokenRequest gives it: bound to no pod. */
  tokenOf(
    serviceAccount: string,
    audience = ADMIN_AUDIENCE,
    options: { readonly lifetimeSeconds?: number; readonly issuedAt?: Date } = {},
  ): string {
    const facts = this.kubernetes.state.factsOf('ops', { serviceAccount })
    return this.kubernetes.issuer.mint({ facts, audience, ...options })
  }

  /** Makes a pod of `shop`'s `cart`. @returns its UID. */
  pod(name: string, spec: Readonly<Record<string, unknown>> = {}): string {
    const { metadata } = this.kubernetes.state.create(
      'pods',
      { name, namespace: 'shop' },
      { nodeName: 'node-a', serviceAccountName: 'cart', volumes: [VOLUME], containers: MOUNTS, ...spec },
    )
    return metadata.uid
  }

  /** Asks for an SVID as the agent does. */
  async ask(pod: string, audience = AUDIENCE) {
    const { csr, privateKey } = await newCsr()
    const podUid = this.kubernetes.state.get('pods', { ...CART, name: pod }).metadata.uid
    const serviceAccountToken = this.kubernetes.tokenOf({ ...CART, name: pod }, audience)
    const { results } = await this.agent.service.issueX509Svids(
      { requests: [{ requestId: 'r', serviceAccountToken, csr, podUid }] },
      OPTIONS,
    )
    return { outcome: results[0]?.outcome, privateKey, podUid }
  }

  async issue(pod: string): Promise<ClientIdentity & { readonly podUid: string }> {
    const { outcome, privateKey, podUid } = await this.ask(pod)
    if (outcome?.case !== 'svid') throw new Error(`refused: ${outcome?.value?.message}`)
    return { chain: outcome.value.certificateChain, privateKey, podUid }
  }

  async stop(): Promise<void> {
    this.admin.close()
    this.agent.close()
    await this.broker.stop()
    await this.kubernetes.stop()
  }
}

async function attestedAgent(kubernetes: FakeKubernetes, broker: AdminScene['broker']): Promise<AdminScene['agent']> {
  const { csr, privateKey } = await newCsr()
  const stranger = connectTo(broker, broker.folder)
  const serviceAccountToken = kubernetes.tokenOf(AGENT, AUDIENCE)
  const { svid } = await stranger.service.attestNode({ serviceAccountToken, csr }, OPTIONS)
  stranger.close()
  const identity = { chain: svid?.certificateChain ?? [], privateKey }
  return { ...connectTo(broker, broker.folder, identity), identity }
}
