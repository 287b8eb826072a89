import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import {
  type Hello,
  type NodeService,
  RevisionKind,
  type SyncRequest,
} from '../../proto/gen/countersign/node/v1/node_pb.ts'
import type { Call, Handlers } from '../../proto/grpc-server.ts'
import type { NodeAttestation } from '../issuance/attest-node.ts'
import type { X509SvidIssuance } from '../issuance/issue-x509-svid.ts'
import type { SyncHub, SyncPeer } from '../sync/sync-hub.ts'
import { type Agent, authorizeAgent, type Method } from './authorize.ts'
import type { Caller } from './caller.ts'
import { bundleMessage, itemOf, resultMessage, svidMessage } from './messages.ts'
import { readSyncRequests } from './sync-requests.ts'

/** What the service translates for. */
export interface NodeServiceDependencies {
  readonly attestation: Pick<NodeAttestation, 'issue'>
  readonly issuance: Pick<X509SvidIssuance, 'issue'>
  readonly hub: SyncHub
  /** The rest of what a call needs to know. */
  readonly broker: {
    readonly clock: Clock
    readonly bundle: () => X509Bundle
    readonly callerOf: (peer: string) => Caller | undefined
    /** Writes a refused caller down. */
    readonly onCallerRefused: (method: Method, error: unknown, peer: string) => void
  }
  /** The pods of these SVIDs are gone. */
  readonly end: (nodeName: string, serialNumbers: readonly string[]) => void
}

/** `countersign.node.v1.NodeService`: what agents ask. Translates, decides nothing. */
export function nodeService({
  attestation,
  issuance,
  hub,
  broker,
  end,
}: NodeServiceDependencies): Handlers<typeof NodeService> {
  const { clock, bundle, callerOf, onCallerRefused } = broker
  const serverTime = () => timestampFromDate(clock.now())
  const agentOf = (method: Method, { peer }: Call): Agent => {
    try {
      return authorizeAgent(method, callerOf(peer), clock.now())
    } catch (error) {
      onCallerRefused(method, error, peer)
      throw error
    }
  }

  return {
    async attestNode({ serviceAccountToken, csr }, { peer, signal }) {
      const svid = await attestation.issue({ token: serviceAccountToken, csr, peer }, signal)
      return { svid: svidMessage(svid, ''), bundle: bundleMessage(bundle()), serverTime: serverTime() }
    },

    async issueX509Svids({ requests }, call) {
      const { nodeName, nodeUid } = agentOf('issueX509Svids', call)
      const outcomes = await issuance.issue(requests.map(itemOf), { nodeName, nodeUid, signal: call.signal })
      return { results: outcomes.map(resultMessage), serverTime: serverTime() }
    },

    async *sync(requests, call) {
      const agent = agentOf('sync', call)
      let says: SyncPeer['says']
      const hear = (request: SyncRequest['message']) => {
        hearAgent(request, agent, { hub, end })
        if (request.case === 'hello') says = whatItSays(request.value, clock.now())
      }
      const { ended } = await readSyncRequests(requests, { clock, signal: call.signal, hear })
      yield* hub.open({ ...agent, says }, call.signal, ended)
    },
  }
}

/** Serial numbers in one message. */
const MAX_SERIAL_NUMBERS = 10_000

function hearAgent(
  message: SyncRequest['message'],
  { nodeName }: Agent,
  { hub, end }: Pick<NodeServiceDependencies, 'hub' | 'end'>,
): void {
  switch (message.case) {
    case 'acknowledgement':
      hub.acknowledge(nodeName, message.value.kind, message.value.revision)
      return
    case 'ended':
      checkSerialNumbers('ended.serial_numbers', message.value.serialNumbers)
      end(nodeName, message.value.serialNumbers)
      return
    case 'hello':
      checkSerialNumbers('hello.held_serial_numbers', message.value.heldSerialNumbers)
      // What it enforces already it need not acknowledge again: after a restart of ours nobody else remembers.
      hub.acknowledge(nodeName, RevisionKind.BUNDLES, message.value.bundleSequence)
      return
    case undefined:
      throw new IdentityError('request_invalid', 'a message of Sync says nothing')
  }
}

/** Shown to operators as it is said, but no longer than anybody reads. */
const MAX_VERSION = 64
/** A hundred years; ten thousand are more than protobuf's Duration holds, and the answer about all agents would fail. */
const MAX_SKEW_MS = 100 * 365 * 86_400_000

function whatItSays({ agentVersion, agentTime }: Hello, now: Date): SyncPeer['says'] {
  const skewMs = agentTime ? timestampDate(agentTime).getTime() - now.getTime() : NaN
  return {
    version: agentVersion.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, MAX_VERSION),
    skewMs: Number.isFinite(skewMs) ? Math.max(-MAX_SKEW_MS, Math.min(MAX_SKEW_MS, skewMs)) : undefined,
  }
}

function checkSerialNumbers(field: string, serialNumbers: readonly string[]): void {
  if (serialNumbers.length > MAX_SERIAL_NUMBERS) {
    throw new IdentityError('request_invalid', `${field} has more than ${MAX_SERIAL_NUMBERS} entries`)
  }
  if (!serialNumbers.every((text) => /^[0-9a-f]{1,40}$/.test(text))) {
    throw new IdentityError('request_invalid', `${field} holds what is no serial number (hexadecimal, lower case)`)
  }
}
