import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { elapsed, type Log } from '../base/log.ts'
import { run, tryRun } from '../base/run.ts'

/** A program or file that is needed of the machine, and the Debian package that brings it. */
interface Need {
  package: string
  program?: string
  file?: string
}

/** What the cluster needs. */
const FOR_THE_CLUSTER: readonly Need[] = [
  { package: 'containerd', program: 'containerd' },
  { package: 'containerd', program: 'ctr' },
  { package: 'runc', program: 'runc' },
  { package: 'containernetworking-plugins', file: '/usr/lib/cni/bridge' },
  { package: 'busybox-static', file: '/bin/busybox' },
  { package: 'iptables', program: 'iptables-save' },
  { package: 'conntrack', program: 'conntrack' },
  { package: 'iproute2', program: 'ip' },
  { package: 'openssl', program: 'openssl' },
  { package: 'util-linux', program: 'nsenter' },
  { package: 'mount', program: 'mount' },
  { package: 'libc-bin', program: 'ldd' },
  // The node program from npm is linked against it; images that carry that program need it too.
  { package: 'libatomic1', file: '/usr/lib/x86_64-linux-gnu/libatomic.so.1' },
]

/** What builds images. */
export const FOR_IMAGES: readonly Need[] = [
  { package: 'buildah', program: 'buildah' },
  { package: 'debootstrap', program: 'debootstrap' },
]

/** Installs the Debian packages that are missing, or fails with a sentence that names them. */
export async function ensurePackages(log: Log, needs: readonly Need[] = FOR_THE_CLUSTER): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error('the test cluster makes namespaces, mounts and cgroups, and must be run as root')
  }
  const missing = missingPackages(needs)
  if (missing.length === 0) return

  const command = `apt-get install -y ${missing.join(' ')}`
  if (!existsSync('/etc/debian_version')) {
    throw new Error(
      `the test cluster needs what these Debian packages contain: ${missing.join(', ')}; please install it`,
    )
  }
  const start = performance.now()
  log(`installing Debian packages: ${missing.join(' ')} …`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const update = await tryRun('apt-get', ['update', '-qq'], { env, timeout: 300_000 })
  // A machine may have packages enough in its lists although one of its sources cannot be reached.
  if (update.code !== 0) log(`apt-get update failed, trying all the same: ${update.stderr.trim()}`)
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], {
    env,
    timeout: 600_000,
  }).catch((error: unknown) => {
    throw new Error(`could not install what the test cluster needs; try \`${command}\``, { cause: error })
  })
  const stillMissing = missingPackages(needs)
  if (stillMissing.length > 0) throw new Error(`still missing after \`${command}\`: ${stillMissing.join(', ')}`)
  log(`installed in ${elapsed(start)}`)
}

function missingPackages(needs: readonly Need[]): string[] {
  const missing = needs.filter(({ program, file }) => !(file ? existsSync(file) : onPath(program ?? '')))
  return [...new Set(missing.map((need) => need.package))]
}

function onPath(program: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.some((folder) => existsSync(join(folder, program)))
}
