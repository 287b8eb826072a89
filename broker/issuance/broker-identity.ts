import { generateKeyPair, pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { SignedX509Svid, X509SvidSigner } from './x509-svid-signer.ts'

/** How long the broker's own SVID lives (design §8). */
export const BROKER_TTL_MS = 3_600_000

/** The broker's own SVID and key; in memory only. */
export interface BrokerIdentity extends SignedX509Svid {
  /** PKCS#8, DER. */
  readonly privateKey: Buffer
}

/** Issues the broker's own SVID, `spiffe://<td>/countersign/broker`, with a new key; it is in the ledger like any other. */
export async function issueBrokerIdentity(signer: X509SvidSigner, trustDomain: TrustDomain): Promise<BrokerIdentity> {
  const { privateKey } = await generateKeyPair('ec-p256')
  const svid = await signer.sign({
    kind: 'broker',
    id: SpiffeId.of(trustDomain, 'countersign', 'broker'),
    key: { spki: spkiOf(privateKey), keyType: 'ec-p256' },
    ttlMs: BROKER_TTL_MS,
    nodeName: '',
    template: '',
    tokenId: '',
    reviewed: false,
  })
  return { ...svid, privateKey: pkcs8Of(privateKey) }
}
