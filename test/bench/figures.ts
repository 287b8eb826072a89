import type { Figure } from './figure.ts'
import { agentMemory } from './figures/agent-memory.ts'
import { connectedAgents } from './figures/connected-agents.ts'
import { imageSize } from './figures/image-size.ts'
import { installed } from './figures/installed.ts'
import { issuance, issuanceInBatches } from './figures/issuance.ts'
import { issuanceReviewed } from './figures/issuance-reviewed.ts'
import { ledgerGrowth } from './figures/ledger-growth.ts'
import { nodePublish } from './figures/node-publish.ts'
import { shortestTtl } from './figures/shortest-ttl.ts'
import { tail } from './figures/tail.ts'
import { tokenReviews } from './figures/token-reviews.ts'
import { warmFetch } from './figures/warm-fetch.ts'
import { watchedObjects, watchedObjectsOnCluster } from './figures/watched-objects.ts'

/** Everything that is measured, in the order of the table. */
export const FIGURES: readonly Figure[] = [
  issuance,
  issuanceInBatches,
  issuanceReviewed,
  tail,
  connectedAgents,
  ledgerGrowth,
  tokenReviews,
  agentMemory,
  warmFetch,
  shortestTtl('10s', true),
  shortestTtl('5s', false),
  nodePublish,
  imageSize,
  installed,
  watchedObjects,
  watchedObjectsOnCluster,
]
