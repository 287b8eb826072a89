import { readlink } from 'node:fs/promises'
import { run } from '../base/run.ts'
import { waitFor } from '../base/wait.ts'
import { coverCommands } from './covered-dirs.ts'
import type { ProcessId } from './process-table.ts'
import { enterCommand, type Placement, startComponent } from './processes.ts'

/** Makes the control plane's network namespace; it lives as long as the process. */
export async function createControlPlaneNamespace(): Promise<ProcessId> {
  const holder = await startComponent('control-plane-namespace', 'unshare', ['--net', 'sleep', 'infinity'], {})
  await namespacesOf(holder, ['net'])
  return holder
}

/** Makes the network and mount namespaces of a node; both live as long as the process. */
export async function createNodeNamespaces(node: string): Promise<ProcessId> {
  const holder = await startComponent(`${node}-namespaces`, 'unshare', ['--mount', '--net', 'sleep', 'infinity'], {})
  await namespacesOf(holder, ['mnt', 'net'])
  // Shared within the namespace, so that what kubelet, agents and containers mount is seen by one another.
  const script = ['mount --make-rshared /', ...(await coverCommands(node))].join(' && ')
  await runIn({ mountOf: holder.pid }, 'sh', ['-c', script])
  return holder
}

/** Runs a command of the set-up in the namespaces of `placement`, and returns what it printed. */
export async function runIn(
  placement: Placement,
  command: string,
  args: readonly string[],
  stdin?: string,
): Promise<string> {
  const [enter = 'env', ...rest] = enterCommand(placement)
  return run(enter, [...rest, command, ...args], stdin === undefined ? {} : { stdin })
}

/** The process exists before it has its namespaces. */
async function namespacesOf({ pid }: ProcessId, kinds: readonly string[]): Promise<void> {
  for (const kind of kinds) {
    const ours = await readlink(`/proc/self/ns/${kind}`)
    await waitFor(
      `a ${kind} namespace`,
      async () => {
        return (await readlink(`/proc/${pid}/ns/${kind}`)) !== ours
      },
      { timeout: 10_000, interval: 5 },
    )
  }
}
