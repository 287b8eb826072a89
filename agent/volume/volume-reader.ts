import { createPrivateKey } from 'node:crypto'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { spkiOf } from '../../core/pki/key.ts'
import { pemDecode } from '../../core/pki/pem.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { SvidMaterial } from '../workloads/workload.ts'
import type { Directory } from './directory.ts'
import { CERTIFICATE_FILE, HINT_FILE, KEY_FILE } from './volume-files.ts'
import { openGeneration } from './volume-writer.ts'

const MAX_FILE_BYTES = 256 * 1024

/**
 * The SVID that a volume holds, for an agent that comes back.
 *
 * @returns `undefined` where none was ever written.
 * @throws {@link IdentityError} `volume_tampered` for anything that the agent cannot have written.
 */
export async function readSvid(volume: Directory): Promise<SvidMaterial | undefined> {
  const generation = await openGeneration(volume)
  if (generation === undefined) return undefined
  try {
    const text = async (name: string) => (await generation.readFile(name, MAX_FILE_BYTES)).toString()
    return svidOf(await text(CERTIFICATE_FILE), await text(KEY_FILE), await text(HINT_FILE))
  } catch (error) {
    // The cause may repeat what it could not read; a key must not come along (invariant 6).
    throw new IdentityError('volume_tampered', 'the files of the volume are not what the agent wrote', {
      ...(error instanceof IdentityError && { cause: error }),
    })
  } finally {
    await generation.close()
  }
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
