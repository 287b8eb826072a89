import { spawn } from 'node:child_process'
import { attachCluster, findCluster, ON_TURN } from './attach.ts'
import { elapsed, logToStderr as log } from './base/log.ts'
import { cleanUp } from './clean-up.ts'
import { interruption } from './interruption.ts'
import { ADMIN_KUBECONFIG, type NodeName, NODES } from './layout.ts'
import { whileLocked } from './machine/lock.ts'
import { isAlive } from './machine/process-table.ts'
import { readState } from './machine/state.ts'
import { ensurePackages } from './machine/packages.ts'
import { startCluster } from './start.ts'
import { buildTools } from './tools/build.ts'

const USAGE = `usage: npm run cluster -- <command>

  build                     install and build what the cluster needs
  up                        start the cluster; it stays up until \`down\`
  down [--force]            stop it, and remove whatever is left of it; --force: even one that a test run uses
  status                    say whether it is up
  kubectl …                 run kubectl as admin
  shell node-a|node-b [command …]
                            a root shell (or a command) in the node's mounts and network;
                            a command is its arguments, no line of a shell: sh -c '… && …'`

/** What follows these is for others to read. */
const PASSES_ON: ReadonlySet<string | undefined> = new Set(['kubectl', 'shell'])

/** What was asked for is no command of ours. */
class UsageError extends Error {}

async function main([command, ...args]: readonly string[]): Promise<number> {
  switch (args[0] === '--help' && !PASSES_ON.has(command) ? 'help' : command) {
    case 'build':
      takesOnly(args)
      await ensurePackages(log)
      await buildTools(log, interruption())
      return 0
    case 'up':
      takesOnly(args)
      return up()
    case 'down':
      takesOnly(args, '--force')
      return down(args)
    case 'status':
      takesOnly(args)
      return status()
    case 'kubectl': {
      const cluster = await attachCluster()
      return foreground(cluster.tool('kubectl'), args, { KUBECONFIG: ADMIN_KUBECONFIG })
    }
    case 'shell':
      return shell(args)
    case '--help':
    case 'help':
      process.stdout.write(`${USAGE}\n`)
      return 0
    default:
      throw new UsageError(command === undefined ? 'a command is missing' : `unknown command ${command}`)
  }
}

function takesOnly(args: readonly string[], ...known: readonly string[]): void {
  const unknown = args.find((arg) => !known.includes(arg))
  if (unknown !== undefined) throw new UsageError(`unknown argument ${unknown}`)
}

async function up(): Promise<number> {
  if (await findCluster('detached')) {
    log(
      'a test cluster is up already: use it (`npm run cluster -- status`), or stop it (`npm run cluster -- down`) first',
    )
    return 0
  }
  await startCluster({ log, signal: interruption(), detached: true, onTurn: Boolean(process.env[ON_TURN]) })
  log(`the cluster is up; for a kubectl of your own: export KUBECONFIG=${ADMIN_KUBECONFIG}`)
  return 0
}

async function down(args: readonly string[]): Promise<number> {
  const owner = (await readState())?.owner
  if (owner && (await isAlive(owner)) && !args.includes('--force')) {
    log(`the cluster belongs to process ${owner.pid}: let that end, or use \`down --force\``)
    return 1
  }
  const start = performance.now()
  await whileLocked(log, cleanUp)
  log(`the cluster is down (${elapsed(start)})`)
  return 0
}

async function status(): Promise<number> {
  const cluster = await findCluster()
  if (!cluster) {
    log('no test cluster is up')
    return 1
  }
  process.stdout.write(await cluster.kubectl(['get', 'nodes,pods', '--all-namespaces', '-o', 'wide']))
  return 0
}

async function shell([name, command = 'bash', ...args]: readonly string[]): Promise<number> {
  const node = NODES.find((node) => node.name === name)?.name satisfies NodeName | undefined
  if (!node) throw new UsageError(name === undefined ? 'a node is missing' : `unknown node ${name}`)
  const cluster = await attachCluster()
  const { mountOf, networkOf } = cluster.node(node).placement
  return foreground('nsenter', [
    `--mount=/proc/${mountOf}/ns/mnt`,
    `--net=/proc/${networkOf}/ns/net`,
    '--',
    command,
    ...args,
  ])
}

function foreground(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env } })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  log(error instanceof Error ? error.message : String(error))
  if (error instanceof UsageError) log(USAGE)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
