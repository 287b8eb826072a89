import { resolve } from 'node:path'
import { tryRun } from '../cluster/base/run.ts'
import { waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { leftBehind } from './left-behind.ts'
import { expectKept, mountsOf } from './mounts.ts'
import { AGENT, BROKER, type Release, SYSTEM } from './release.ts'
import type { Scenario } from './scenario.ts'
import { KEPT, NEXT_IMAGE, NEXT_TAG, removeKept, TAG } from './set-up.ts'
import { CALLERS, openShop, podsOfShop, SHOP, shopIsOpen, spreadShop } from './shop.ts'
import type { Traffic } from './traffic.ts'

const REPOSITORY = resolve(import.meta.dirname, '..', '..')
/** Of the chart and of the shop: other pods of the cluster stay where they are. */
const DRAINED_PODS = `app.kubernetes.io/part-of in (countersign, ${SHOP})`

/** What a platform team does with Countersign from the first day to the last, with two services that must not notice. */
export async function show(
  scenario: Scenario,
  { cluster, release, traffic }: { cluster: Cluster; release: Release; traffic: Traffic },
): Promise<void> {
  const { step } = scenario
  const upgrade = (name: string, action: () => Promise<void>) =>
    step(name, async () => {
      const pods = await podsOfShop(cluster)
      const before = await mountsOf(cluster)
      const said = await traffic.during(action)
      expectKept(
        before,
        await mountsOf(cluster),
        pods.map(({ uid }) => uid),
      )
      return said
    })

  await step('countersign check --pre finds the cluster fit', () => check(cluster, ['--pre']))
  await step('the chart is installed', () => release.install(TAG))
  await step('countersign check is all green', () => check(cluster, []))
  await step('two services hold mutual TLS across the nodes, by the name of a Service', async () => {
    await openShop(cluster, traffic.address)
    await traffic.flows(CALLERS)
    const nodes = new Set((await podsOfShop(cluster)).map(({ node }) => node))
    if (nodes.size < cluster.nodes.length) throw new Error(`all of them are on ${[...nodes].join()}`)
    return traffic.during(() => Promise.resolve())
  })

  await upgrade('the broker alone is upgraded', () => release.setImage(BROKER, NEXT_IMAGE))
  await upgrade('the agents follow', () => release.upgrade(NEXT_TAG))
  await upgrade('both are rolled back', () => release.rollback())
  await upgrade('the agents alone are upgraded', () => release.setImage(AGENT, NEXT_IMAGE))
  await upgrade('the broker follows', () => release.upgrade(NEXT_TAG))
  await upgrade('both are rolled back again', () => release.rollback())
  await upgrade('both are upgraded at once', () => release.upgrade(NEXT_TAG))
  await step('every certificate is renewed', () => traffic.during(() => traffic.renewed(2 * CALLERS)))
  for (const { name } of cluster.nodes) {
    await step(`${name} is drained, and takes pods again`, () => traffic.during(() => drain(cluster, release, name)))
  }
  await step('countersign check is still all green', () => check(cluster, []))

  await step('uninstalling is refused while pods use the driver, and says which', async () => {
    const { code, stdout, stderr } = await release.uninstall()
    if (code === 0) throw new Error('it was not')
    if (!`${stdout}${stderr}`.includes(SHOP)) throw new Error(`it did not name them: ${stdout}${stderr}`)
  })
  await step('without such pods it leaves nothing but what is kept on purpose', async () => {
    await cluster.deleteNamespace(SHOP)
    const { code, stderr } = await release.uninstall()
    if (code !== 0) throw new Error(stderr)
    const left = await leftAtLast(cluster, (thing) => !KEPT.test(thing))
    return `kept: ${left.join(', ')}; ${(await cluster.kubectl(['get', 'persistentvolumeclaim,secret', '--namespace', SYSTEM, '--output=name'])).trim().replaceAll('\n', ', ')}`
  })
  await step('that is removed by hand', async () => {
    await removeKept(cluster)
    await leftAtLast(cluster, () => true)
  })
}

async function drain(cluster: Cluster, release: Release, node: string): Promise<void> {
  const options = ['--ignore-daemonsets', '--delete-emptydir-data', '--timeout=55s']
  try {
    await cluster.kubectl(['drain', node, `--pod-selector=${DRAINED_PODS}`, ...options])
    await shopIsOpen(cluster)
    await release.settled()
    const left = (await podsOfShop(cluster)).filter((pod) => pod.node === node)
    if (left.length > 0) throw new Error(`${left.length} pods are still on ${node}`)
  } finally {
    await cluster.kubectl(['uncordon', node])
  }
  await spreadShop(cluster)
}

/** The `countersign` of this checkout, as an administrator runs it. */
async function check(cluster: Cluster, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await tryRun(process.execPath, ['cli/main.ts', 'check', ...args], {
    cwd: REPOSITORY,
    env: { ...process.env, KUBECONFIG: cluster.adminKubeconfig },
  })
  if (code !== 0) throw new Error(`exit code ${code}\n${stdout}${stderr}`)
  return stdout.trim().split('\n').at(-1) ?? ''
}

/** Waits until nothing of which `bothers` is true is left; returns the rest. */
async function leftAtLast(cluster: Cluster, bothers: (thing: string) => boolean): Promise<string[]> {
  let left: string[] = []
  const look = async () => {
    left = await leftBehind(cluster)
    return !left.some(bothers)
  }
  await waitFor('nothing to be left', look, { timeout: 20_000 }).catch(() => {
    throw new Error(`left behind: ${left.filter(bothers).join(', ')}`)
  })
  return left
}
