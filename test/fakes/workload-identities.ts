import { generateKeyPair, pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type { Delivered, SvidMaterial } from '../../agent/workloads/workload.ts'
import type { FakeBrokerAuthorities } from './fake-broker-authorities.ts'

const HOUR_MS = 3_600_000

/** A real SVID with its key, below `/ns/shop/sa/`. */
export async function svidFor(authorities: FakeBrokerAuthorities, name: string): Promise<SvidMaterial> {
  const { privateKey } = await generateKeyPair('ec-p256')
  const id = SpiffeId.of(authorities.trustDomain, 'ns', 'shop', 'sa', name)
  const { der, notAfter, serialNumber } = authorities.sign(id, spkiOf(privateKey), HOUR_MS)
  return { id, chain: [der], privateKey: pkcs8Of(privateKey), notAfter, hint: 'internal', serialNumber }
}

/** What a workload holds: its SVID, its own bundle and these federated ones. */
export async function identityFor(
  authorities: FakeBrokerAuthorities,
  name: string,
  federated: readonly X509Bundle[] = [],
): Promise<Delivered> {
  return { svid: await svidFor(authorities, name), bundles: { own: authorities.bundle, federated } }
}
