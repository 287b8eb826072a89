import type { MessageInitShape } from '@bufbuild/protobuf'
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt'
import type { GetStatusResponseSchema } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { Problem } from '../problems.ts'
import type { NodeAgent } from './agent-answers.ts'

/** What does not change as long as the broker runs. */
export interface BrokerFacts {
  readonly trustDomain: string
  readonly version: string
  readonly host: string
  readonly startedAt: Date
  readonly settings: {
    readonly attestationMode: string
    readonly audience: string
    readonly adminAudience: string
    readonly agentServiceAccounts: readonly string[]
    readonly templateSource: string
    readonly defaultTtlMs: number
    readonly minTtlMs: number
    readonly maxTtlMs: number
    readonly authorityMode: string
  }
}

/** What does. */
export interface BrokerState {
  readonly now: Date
  readonly notReady: readonly string[]
  readonly problems: readonly Problem[]
  readonly ownSvidNotAfter: Date
  readonly bundleSequence: bigint
  readonly agents: readonly NodeAgent[]
  readonly activeAuthorityNotAfter: Date | undefined
  readonly templates: number
}

/** `GetStatus`. */
export function getStatus(
  { trustDomain, version, host, startedAt, settings }: BrokerFacts,
  state: BrokerState,
): MessageInitShape<typeof GetStatusResponseSchema> {
  const { defaultTtlMs, minTtlMs, maxTtlMs, agentServiceAccounts, ...words } = settings
  const connected = state.agents.filter((agent) => agent.connected).length
  return {
    trustDomain,
    version,
    host,
    startedAt: timestampFromDate(startedAt),
    serverTime: timestampFromDate(state.now),
    notReady: [...state.notReady],
    problems: state.problems.map(({ since, key, code, message, remedy }) => ({
      key,
      code,
      message,
      remedy,
      since: timestampFromDate(since),
    })),
    ownSvidNotAfter: timestampFromDate(state.ownSvidNotAfter),
    bundleSequence: state.bundleSequence,
    agentsConnected: connected,
    agentsMissing: state.agents.length - connected,
    ...(state.activeAuthorityNotAfter && {
      activeAuthorityNotAfter: timestampFromDate(state.activeAuthorityNotAfter),
    }),
    templates: state.templates,
    settings: {
      ...words,
      agentServiceAccounts: [...agentServiceAccounts],
      defaultTtl: durationFromMs(defaultTtlMs),
      minTtl: durationFromMs(minTtlMs),
      maxTtl: durationFromMs(maxTtlMs),
    },
  }
}
