import { createPrivateKey } from 'node:crypto'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { spkiOf } from '../../core/pki/key.ts'
import { pemDecode } from '../../core/pki/pem.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { SvidMaterial } from '../workloads/workload.ts'
import type { Directory } from './directory.ts'
import { errnoOf } from './errno.ts'
import { CERTIFICATE_FILE, HINT_FILE, KEY_FILE } from './volume-files.ts'
import { openGeneration } from './volume-writer.ts'

const MAX_FILE_BYTES = 256 * 1024

/** What the kernel says of files that are gone or closed to us. */
const DAMAGE = new Set(['ENOENT', 'EACCES'])

/**
 * The SVID that a volume holds, for an agent that comes back.
 *
 * @returns `undefined` where none was ever written.
 * @throws {@link IdentityError} `volume_tampered` for anything that the agent cannot have written. What the kernel says
 *   else, for example that no descriptor is left, is thrown as it is: it will pass, and says nothing of the files.
 */
export async function readSvid(volume: Directory): Promise<SvidMaterial | undefined> {
  try {
    const generation = await openGeneration(volume)
    return generation && (await svidIn(generation))
  } catch (error) {
    if (!isDamage(error)) throw error
    // The cause may repeat what it could not read; a key must not come along (invariant 6).
    throw new IdentityError('volume_tampered', 'the files of the volume are not what the agent wrote', {
      ...(error instanceof IdentityError && { cause: error }),
    })
  }
}

async function svidIn(generation: Directory): Promise<SvidMaterial> {
  try {
    const text = async (name: string) => (await generation.readFile(name, MAX_FILE_BYTES)).toString()
    return svidOf(await text(CERTIFICATE_FILE), await text(KEY_FILE), await text(HINT_FILE))
  } finally {
    await generation.close()
  }
}

function isDamage(error: unknown): boolean {
  const isKernels = error instanceof Error && 'syscall' in error
  return !isKernels || DAMAGE.has(errnoOf(error) ?? '')
}

function svidOf(certificates: string, key: string, hint: string): SvidMaterial {
  const chain = pemDecode(certificates).map(({ der }) => der)
  const [privateKey, ...others] = pemDecode(key).map(({ der }) => der)
  if (chain[0] === undefined || privateKey === undefined || others.length > 0) throw new TypeError('not one key')
  const leaf = parseCertificate(chain[0])
  const keyObject = createPrivateKey({ key: privateKey, format: 'der', type: 'pkcs8' })
  if (!spkiOf(keyObject).equals(leaf.spki)) throw new TypeError('the key is not of the certificate')
  const id = SpiffeId.parse(leaf.uris[0] ?? '')
  return { id, chain, privateKey, notAfter: leaf.notAfter, hint, serialNumber: leaf.serialNumber }
}
