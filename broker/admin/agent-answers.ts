import type { MessageInitShape } from '@bufbuild/protobuf'
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt'
import {
  type AgentSchema,
  type ListAgentsRequest,
  ListAgentsRequestSchema,
  type ListAgentsResponseSchema,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { RevisionKind } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import type { ConnectedAgent, SyncHub } from '../sync/sync-hub.ts'
import { askedPage } from './page-token.ts'
import { given } from './request-fields.ts'

/** What is known of one node. */
export interface NodeAgent {
  readonly nodeName: string
  readonly connected: ConnectedAgent | undefined
  readonly enforced: bigint
  readonly holdsUntil: Date | undefined
}

/** The nodes that there are: whose agent is connected, or that hold something that has not expired; by name. */
export function nodeAgents(hub: AgentsOf, holders: ReadonlyMap<string, Date>): readonly NodeAgent[] {
  const connected = hub.agents()
  const names = [...new Set([...connected.keys(), ...holders.keys()])].sort()
  return names.map((nodeName) => nodeAgent(nodeName, hub, { connected, holders }))
}

type AgentsOf = Pick<SyncHub, 'agents' | 'enforced'>

interface Known {
  readonly connected: ReadonlyMap<string, ConnectedAgent>
  /** When the last SVID that a node holds expires. */
  readonly holders: ReadonlyMap<string, Date>
}

export function nodeAgent(nodeName: string, hub: AgentsOf, { connected, holders }: Known): NodeAgent {
  return {
    nodeName,
    connected: connected.get(nodeName),
    enforced: hub.enforced(RevisionKind.BUNDLES, nodeName),
    holdsUntil: holders.get(nodeName),
  }
}

/** `ListAgents`. */
export function listAgents(
  request: ListAgentsRequest,
  agents: readonly NodeAgent[],
  bundleSequence: bigint,
): MessageInitShape<typeof ListAgentsResponseSchema> {
  const nodeName = given('node_name', request.nodeName)
  const page = askedPage(ListAgentsRequestSchema, request, (place) => place.length <= 253)
  const { after } = page
  const wanted = agents.filter(
    (agent) =>
      (after === undefined || agent.nodeName > after) &&
      (nodeName === undefined || agent.nodeName === nodeName) &&
      (!request.onlyWanting || !agent.connected || agent.enforced < bundleSequence),
  )
  const shown = wanted.slice(0, page.size)
  return {
    agents: shown.map((agent) => agentMessage(agent, bundleSequence)),
    nextPageToken: page.tokenOf(wanted.length > shown.length ? shown.at(-1)?.nodeName : undefined),
    bundleSequence,
  }
}

function agentMessage(
  { nodeName, connected, enforced, holdsUntil }: NodeAgent,
  bundleSequence: bigint,
): MessageInitShape<typeof AgentSchema> {
  const skewMs = connected?.says?.skewMs
  return {
    nodeName,
    connected: connected !== undefined,
    version: connected?.says?.version ?? '',
    enforcedBundleSequence: enforced,
    upToDate: enforced >= bundleSequence,
    ...(connected && {
      connectedSince: timestampFromDate(connected.since),
      svidNotAfter: timestampFromDate(connected.notAfter),
    }),
    ...(skewMs !== undefined && { clockSkew: durationFromMs(skewMs) }),
    ...(holdsUntil && { holdsUntil: timestampFromDate(holdsUntil) }),
  }
}
