import { join } from 'node:path'
import type { Log } from '../cluster/base/log.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { buildCountersignImage, COUNTERSIGN_IMAGE } from '../cluster/images/countersign-image.ts'
import { buildTools } from '../cluster/tools/build.ts'
import { HELM } from '../cluster/tools/catalog.ts'
import { CSI_DRIVER } from '../cluster-suites/agent-process.ts'
import { leftBehind } from './left-behind.ts'
import { AGENTS, Release, SYSTEM, TRUST_DOMAIN } from './release.ts'

export const TAG = COUNTERSIGN_IMAGE.replace(/^.*:/, '')
/** Another name of the same image, to roll out. */
export const NEXT_TAG = 'next'
export const NEXT_IMAGE = COUNTERSIGN_IMAGE.replace(/[^:]*$/, NEXT_TAG)

/** What the chart leaves when it is uninstalled, so that nothing is lost by mistake. */
export const KEPT = /^(customresourcedefinition|clustertrustbundle)/

const VOLUME = 'countersign-ledger'
const VOLUME_SIZE = '1Gi'

/** What has to be built before a cluster is of use. */
export interface Built {
  readonly archive: string
  readonly helm: string
}

export async function build(log: Log, signal?: AbortSignal): Promise<Built> {
  const { helm = '' } = await buildTools(log, signal, [HELM])
  return { helm, archive: await buildCountersignImage(log, signal) }
}

/** Brings to the cluster what an installation needs of it, and returns the release that can now be installed. */
export async function prepare(cluster: Cluster, { archive, helm }: Built, issuance: object): Promise<Release> {
  await cluster.importImage(archive)
  await cluster.tagImage(COUNTERSIGN_IMAGE, NEXT_IMAGE)
  await cluster.createVolume(VOLUME, VOLUME_SIZE)
  return new Release(cluster, helm, {
    trustDomain: TRUST_DOMAIN,
    image: { repository: COUNTERSIGN_IMAGE.replace(/:[^:]*$/, ''), pullPolicy: 'IfNotPresent' },
    persistence: { size: VOLUME_SIZE },
    broker: { config: { issuance } },
    agent: { maxUnavailable: 1 },
  })
}

/** Removes the release, whoever still uses it, and all that it keeps. */
export async function cleanUp(cluster: Cluster, release: Release): Promise<void> {
  await release.remove()
  await removeKept(cluster)
  await cluster.deleteVolume(VOLUME)
}

/** What an administrator removes who means to lose it: authorities, templates, and what the agents have noted. */
export async function removeKept(cluster: Cluster): Promise<void> {
  const kept = (await leftBehind(cluster)).filter((thing) => KEPT.test(thing))
  if (kept.length > 0) await cluster.kubectl(['delete', ...kept, '--timeout=30s'])
  await cluster.deleteNamespace(SYSTEM)
  await cluster.kubectl(['delete', 'namespace', AGENTS, '--ignore-not-found', '--timeout=50s'])
  for (const node of cluster.nodes) await node.run('rm', ['-rf', join(node.kubeletRoot, 'plugins', CSI_DRIVER)])
}
