import type { Clock } from '../core/runtime/clock.ts'
import type { Random } from '../core/runtime/random.ts'
import { RevisionKind } from '../proto/gen/countersign/node/v1/node_pb.ts'
import { Authorities } from './ca/authorities.ts'
import type { AuthoritySource } from './ca/authority.ts'
import type { KeyWrap } from './ca/key-wrap.ts'
import type { RotationPolicy } from './ca/rotation.ts'
import { selfSignedSource } from './ca/self-signed-source.ts'
import { upstreamDiskSource } from './ca/upstream-disk-source.ts'
import type { BrokerConfig } from './config.ts'
import { BROKER_TTL_MS } from './issuance/broker-identity.ts'
import type { Ledger } from './ledger/ledger.ts'
import type { SyncHub } from './sync/sync-hub.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** How authorities follow each other, with the defaults that depend on their life. */
export function rotationPolicyOf({ authority, issuance }: BrokerConfig): RotationPolicy {
  const { lifetime, activationLeastDelay, activationDeadline } = authority
  return {
    lifetimeMs: lifetime,
    leastDelayMs: activationLeastDelay ?? Math.min(HOUR, lifetime / 10),
    deadlineMs: activationDeadline ?? Math.min(DAY, lifetime / 4),
    longestLeafMs: Math.max(issuance.maxTtl, issuance.agentTtl, BROKER_TTL_MS),
  }
}

/** @throws `IdentityError` `store_*`, `key_store_locked`. */
export function loadAuthorities(
  config: BrokerConfig,
  parts: {
    readonly clock: Clock
    readonly random: Random
    readonly keeping: { readonly ledger: Ledger; readonly keyWrap: KeyWrap }
    readonly hub: SyncHub
  },
): Promise<Authorities> {
  const { clock, keeping, hub } = parts
  const { ledger, keyWrap } = keeping
  return Authorities.load(
    {
      store: ledger,
      source: sourceOf(config, parts),
      keyWrap,
      clock,
      unacknowledged: async (sequence) => {
        const holders = await ledger.unexpired(clock.now())
        return hub.unacknowledged(RevisionKind.BUNDLES, BigInt(sequence), holders.keys())
      },
    },
    {
      trustDomain: config.trustDomain,
      policy: rotationPolicyOf(config),
      refreshHintSeconds: Math.ceil(config.bundle.refreshHint / 1000),
    },
  )
}

function sourceOf(
  { trustDomain, authority: { mode, keyType, upstream } }: BrokerConfig,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): AuthoritySource {
  const options = { trustDomain, keyType, clock, random }
  if (mode === 'selfSigned') return selfSignedSource(options)
  if (!upstream) throw new TypeError('the configuration was checked for this')
  return upstreamDiskSource(upstream, options)
}
