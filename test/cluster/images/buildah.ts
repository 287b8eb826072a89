import { join } from 'node:path'
import { run } from '../base/run.ts'
import { cacheDir } from '../tools/build.ts'

const TIMEOUT_MS = 15 * 60_000

/**
 * Runs buildah with a storage of its own, and returns what it printed. vfs asks nothing of the file system below, and
 * chroot nothing of the kernel that may be missing where this machine is itself a container.
 */
export async function buildah(args: readonly string[], signal?: AbortSignal): Promise<string> {
  const root = join(cacheDir(), 'buildah')
  return run('buildah', ['--root', root, '--runroot', join(root, 'run'), '--storage-driver', 'vfs', ...args], {
    env: { ...process.env, BUILDAH_ISOLATION: 'chroot' },
    timeout: TIMEOUT_MS,
    ...(signal && { signal }),
  })
}

export async function hasImage(reference: string): Promise<boolean> {
  const images = JSON.parse(await buildah(['images', '--json'])) as readonly { readonly names?: readonly string[] }[]
  return images.some(({ names }) => names?.includes(reference))
}

/** Makes an image on `base` (or on nothing) by what `change` does to a container of it. */
export async function commitImage(
  reference: string,
  base: string,
  change: (container: string) => Promise<void>,
): Promise<void> {
  const container = (await buildah(['from', '--pull=never', base])).trim()
  try {
    await change(container)
    await buildah(['commit', '--quiet', container, reference])
  } finally {
    await buildah(['rm', container])
  }
}
