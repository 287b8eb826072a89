import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../base/run.ts'
import { IMAGE_DIR } from '../layout.ts'
import type { Binaries } from '../tools/build.ts'
import { type ImageSpec, ociArchive } from './oci-archive.ts'
import { sharedLibraries } from './shared-libraries.ts'

export const PAUSE_IMAGE = 'localhost/pause:test'
/** busybox with all its commands in `/bin`. */
export const BUSYBOX_IMAGE = 'localhost/busybox:test'
/** As {@link BUSYBOX_IMAGE}, and `openssl`. */
export const OPENSSL_IMAGE = 'localhost/openssl:test'
/** As {@link BUSYBOX_IMAGE}, and `spiffe-probe`, which is what runs. */
export const SPIFFE_PROBE_IMAGE = 'localhost/spiffe-probe:test'

const BUSYBOX = '/bin/busybox'

/** Writes the images that every node has, and returns their archives. */
export async function createImages(binaries: Binaries): Promise<string[]> {
  const [applets, libraries] = await Promise.all([run(BUSYBOX, ['--list']), sharedLibraries('/usr/bin/openssl')])
  const links: Record<string, string> = {}
  for (const applet of applets.trim().split('\n')) if (applet !== 'busybox') links[`/bin/${applet}`] = 'busybox'
  // Debian's /lib is a link to /usr/lib; an image that has both as folders works as well, and needs no special case.
  const busybox = { files: { '/bin/busybox': BUSYBOX }, links }
  const probe = { '/usr/bin/spiffe-probe': binaries('spiffe-probe') }
  const openssl = { '/usr/bin/openssl': '/usr/bin/openssl', '/usr/lib/ssl/openssl.cnf': '/etc/ssl/openssl.cnf' }
  return Promise.all(
    [
      { reference: PAUSE_IMAGE, entrypoint: ['/pause'], files: { '/pause': binaries('pause') } },
      { ...busybox, reference: BUSYBOX_IMAGE, entrypoint: ['/bin/sh'] },
      {
        reference: OPENSSL_IMAGE,
        entrypoint: ['/usr/bin/openssl'],
        files: { ...busybox.files, ...openssl, ...libraries },
        links,
      },
      {
        reference: SPIFFE_PROBE_IMAGE,
        entrypoint: ['/usr/bin/spiffe-probe'],
        files: { ...busybox.files, ...probe },
        links,
      },
    ].map(writeImage),
  )
}

/** Writes the OCI archive of an image and returns its path. */
export async function writeImage(spec: ImageSpec): Promise<string> {
  await mkdir(IMAGE_DIR, { recursive: true })
  const path = join(IMAGE_DIR, `${spec.reference.replaceAll(/[^\w.-]/g, '-')}.tar`)
  await writeFile(path, await ociArchive(spec))
  return path
}
