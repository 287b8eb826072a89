import { existsSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { run } from './base/run.ts'
import { COVERED_DIRS, STATE_DIR } from './layout.ts'
import { listClusterCgroups } from './machine/cgroups.ts'
import { readSysctls } from './machine/sysctls.ts'
import { cacheDir } from './tools/build.ts'

/** What a cluster could leave behind, one line for each thing. */
export type Snapshot = ReadonlySet<string>

/** Looks at processes, mounts, cgroups, network, kernel settings and folders of the machine. */
export async function takeSnapshot(): Promise<Snapshot> {
  const parts = await Promise.all([processes(), mounts(), cgroups(), network(), sysctls(), folders()])
  return new Set(parts.flat())
}

/** What is there now and was not before. */
export function leftovers(before: Snapshot, after: Snapshot): string[] {
  return [...after].filter((thing) => !before.has(thing))
}

/** Processes in namespaces of their own, and those that run the cluster's programs or in its folders. */
async function processes(): Promise<string[]> {
  const [ownMounts, ownNetwork] = await Promise.all([readlink('/proc/self/ns/mnt'), readlink('/proc/self/ns/net')])
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    pids.map(async (pid) => {
      const [mnt, net, command, exe] = await Promise.all([
        ...['mnt', 'net'].map((kind) => readlink(`/proc/${pid}/ns/${kind}`).catch(() => undefined)),
        readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
        readlink(`/proc/${pid}/exe`).catch(() => ''),
      ])
      const foreign = (mnt !== undefined && mnt !== ownMounts) || (net !== undefined && net !== ownNetwork)
      const ours = [STATE_DIR, cacheDir()].some((dir) => exe?.startsWith(dir) || command?.includes(dir))
      return foreign || ours ? [`process ${pid} ${command?.replaceAll('\0', ' ').trim()}`] : []
    }),
  )
  return lines.flat()
}

async function mounts(): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).trim().split('\n')
  return lines.map((line) => `mount ${line.split(' ').slice(3, 6).join(' ')}`)
}

async function cgroups(): Promise<string[]> {
  return (await listClusterCgroups()).map((dir) => `cgroup ${dir}`)
}

async function network(): Promise<string[]> {
  const [links, routes, rules] = await Promise.all([
    run('ip', ['-o', 'link']),
    run('ip', ['route']),
    // Counters change by themselves, and comments carry the time.
    run('iptables-save', []).then((text) => text.replaceAll(/\[\d+:\d+\]|^#.*$/gm, '')),
  ])
  const names = Array.from(links.matchAll(/^\d+: ([^:@]+)/gm), ([, name]) => `link ${name}`)
  const lines = (kind: string, text: string): string[] =>
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => `${kind} ${line}`)
  return [...names, ...lines('route', routes), ...lines('iptables', rules)]
}

async function sysctls(): Promise<string[]> {
  const forward = (await readFile('/proc/sys/net/ipv4/ip_forward', 'utf8')).trim()
  const values = { ...(await readSysctls()), 'net/ipv4/ip_forward': forward }
  return Object.entries(values).map(([name, value]) => `sysctl ${name}=${value}`)
}

/** Made where images are built for the first time, and the machine's own from then on. */
const OF_BUILDAH: ReadonlySet<string> = new Set(['/etc/cni', '/etc/containers', '/var/lib/containers'])

async function folders(): Promise<string[]> {
  const watched = ['/run', '/var/lib', '/var/log', '/etc', '/opt', '/usr/libexec', '/usr/lib/cni', '/tmp', '/var/tmp']
  const listed = await Promise.all(
    watched.filter(existsSync).map(async (dir) => (await readdir(dir)).map((name) => `${dir}/${name}`)),
  )
  // Other programs make folders of their own in these places meanwhile.
  const ours = listed
    .flat()
    .filter((path) => !OF_BUILDAH.has(path))
    .filter((path) =>
      /countersign-cluster|containerd-mount|kubelet|\/(cni|netns|pods|kubernetes|containerd|containers|xtables.*)$/.test(
        path,
      ),
    )
  return [...ours, ...COVERED_DIRS.filter((dir) => existsSync(dir))].map((path) => `file ${path}`)
}
