import { create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { CrdFact, CsiDriverFact, InstalledFacts, PreFacts, WaitingPod } from '../../cli/checks/facts.ts'
import type { PodFact } from '../../cli/checks/pod-fact.ts'
import { CRDS } from '../../cli/installation/crds.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import {
  AgentSchema,
  AuthorityState,
  GetStatusResponseSchema,
  ListAuthoritiesResponseSchema,
  TemplateSchema,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { FakeBrokerAuthorities } from './fake-broker-authorities.ts'

/** What may differ of a message. */
type Change<S extends DescMessage> = Exclude<MessageInitShape<S>, MessageShape<S>>

/** The moment of all facts here. */
export const NOW = new Date('2030-01-01T00:00:00Z')
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

const authorities = await FakeBrokerAuthorities.create(TrustDomain.parse('prod.example'), systemClock)
/** A bundle with real authorities. */
export const BUNDLE = { ...authorities.bundle, sequence: 7n }
const anchor = BUNDLE.authorities[0]?.der ?? Buffer.alloc(0)

export const at = (offsetMs: number) => timestampFromMs(NOW.getTime() + offsetMs)
export const unreachable = (message: string) => ({ failure: { kind: 'unreachable' as const, message } })
export const forbidden = (message: string) => ({ failure: { kind: 'forbidden' as const, message } })

export const DRIVER: CsiDriverFact = {
  labels: { 'app.kubernetes.io/name': 'countersign' },
  podInfoOnMount: true,
  requiresRepublish: true,
  attachRequired: false,
  volumeLifecycleModes: ['Ephemeral'],
  tokenAudiences: ['countersign.dev/prod.example'],
  tokenInSecrets: true,
}

export const node = (name: string, change: object = {}) => ({
  name,
  kubelet: 'v1.37.1',
  operatingSystem: 'linux',
  isReady: true,
  ...change,
})

export function pod(change: Partial<PodFact> = {}): PodFact {
  return {
    namespace: 'shop',
    name: 'checkout',
    uid: 'uid-1',
    node: 'node-a',
    serviceAccount: 'checkout',
    phase: 'Pending',
    isReady: false,
    isBeingDeleted: false,
    volumes: [{ name: 'identity', readOnly: true, attributes: {} }],
    foreignVolumes: [],
    claims: [],
    problems: [],
    ...change,
  }
}

export function status(change: Change<typeof GetStatusResponseSchema> = {}) {
  return {
    value: create(GetStatusResponseSchema, {
      trustDomain: 'prod.example',
      version: '0.1.0',
      host: 'countersign-broker-0',
      startedAt: at(-DAY_MS),
      serverTime: at(200),
      ownSvidNotAfter: at(HOUR_MS),
      bundleSequence: 7n,
      agentsConnected: 2,
      activeAuthorityNotAfter: at(10 * DAY_MS),
      settings: {
        audience: 'countersign.dev/prod.example',
        adminAudience: 'countersign.dev/prod.example/admin',
        attestationMode: 'tokenReview',
        templateSource: 'customResources',
        authorityMode: 'selfSigned',
        defaultTtl: { seconds: 86_400n },
        minTtl: { seconds: 300n },
        maxTtl: { seconds: 86_400n },
      },
      ...change,
    }),
  }
}

export const agent = (nodeName: string, change: Change<typeof AgentSchema> = {}) =>
  create(AgentSchema, {
    nodeName,
    connected: true,
    connectedSince: at(-DAY_MS),
    version: '0.1.0',
    enforcedBundleSequence: 7n,
    upToDate: true,
    clockSkew: { seconds: 0n, nanos: 300_000_000 },
    svidNotAfter: at(HOUR_MS / 2),
    holdsUntil: at(HOUR_MS),
    ...change,
  })

export const authorityList = (change: Change<typeof ListAuthoritiesResponseSchema> = {}) => ({
  value: create(ListAuthoritiesResponseSchema, {
    bundleSequence: 7n,
    authorities: [
      {
        keyId: 'abcdef0123456789abcdef',
        state: AuthorityState.ACTIVE,
        certificate: anchor,
        notBefore: at(-4 * DAY_MS),
        notAfter: at(10 * DAY_MS),
      },
    ],
    ...change,
  }),
})

export const template = (name: string, change: Change<typeof TemplateSchema> = {}) =>
  create(TemplateSchema, { name, inForce: true, ...change })

export const waiting = (...pods: readonly WaitingPod[]) => ({ value: { pods, more: 0 } })

/** The definition of IdentityTemplate as it should be. */
export const DEFINITION: CrdFact = {
  name: 'identitytemplates.countersign.dev',
  labels: {},
  digest: CRDS[0].digest,
  versions: ['v1alpha1'],
  isEstablished: true,
}

/** An installation with nothing wrong. */
export function installedFacts(change: Partial<InstalledFacts> = {}): InstalledFacts {
  const running = { phase: 'Running', isReady: true, volumes: [] }
  return {
    now: NOW,
    brokerIsElsewhere: false,
    trustDomain: 'prod.example',
    version: { value: { text: 'v1.37.1', major: 1, minor: 37 } },
    nodes: { value: [node('node-a'), node('node-b')] },
    csiDriver: { value: DRIVER },
    crds: { value: [DEFINITION] },
    brokerDeployment: { value: { name: 'countersign-broker', desired: 1, ready: 1 } },
    brokerPods: { value: [pod({ ...running, namespace: 'countersign-system', name: 'countersign-broker-0' })] },
    agentDaemonSet: { value: { name: 'countersign-agent', desired: 2, ready: 2 } },
    agentPods: {
      value: ['node-a', 'node-b'].map((node) =>
        pod({ ...running, namespace: 'countersign-agent', name: `countersign-agent-${node}`, node }),
      ),
    },
    csiNodes: { value: ['node-a', 'node-b'].map((node) => ({ node, drivers: ['csi.countersign.dev'] })) },
    trustBundle: { value: { bundle: BUNDLE } },
    status: status(),
    agents: { value: [agent('node-a'), agent('node-b')] },
    authorities: authorityList(),
    templates: { value: [template('web')] },
    waitingPods: waiting(),
    ...change,
  }
}

/** A cluster where nothing stands in the way of an installation. */
export function preFacts(change: Partial<PreFacts> = {}): PreFacts {
  return {
    version: { value: { text: 'v1.37.1', major: 1, minor: 37 } },
    rights: { value: [{ rule: 'create namespaces', allowed: true }] },
    nodes: { value: [node('node-a')] },
    inlineVolume: { value: undefined },
    csiDriver: { value: undefined },
    crds: { value: [] },
    namespaces: { value: [] },
    storageClasses: { value: [{ name: 'standard', isDefault: true }] },
    clusterTrustBundles: { value: true },
    ...change,
  }
}
