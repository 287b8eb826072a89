import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt'
import { createCsr } from '../../core/pki/csr.ts'
import { generateKeyPair, pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { pemEncode } from '../../core/pki/pem.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { verifyX509Svid } from '../../core/spiffe/x509-svid.ts'
import type { Lifetime } from '../workloads/ports.ts'
import { leftMs } from '../workloads/lifetime.ts'
import type { BrokerChannel } from './broker-channel.ts'
import { bundleOf } from './bundle-message.ts'
import { skewMs } from './skew.ts'
import type { ClientSvid } from '../../proto/spiffe-credentials.ts'

/** The agent's own identity. Its key is in memory alone. */
export interface AgentIdentity extends Lifetime {
  readonly id: SpiffeId
  readonly svid: ClientSvid
  /** Subject key identifier, in hex, of the authority that signed it. */
  readonly authorityKeyId: string
}

export interface Attestation {
  readonly identity: AgentIdentity
  /** The trust domain's bundle at this moment. */
  readonly bundle: X509Bundle
  readonly skewMs: number | undefined
}

const TIMEOUT_MS = 15_000

/**
 * Proves which node this is, and gets the agent an SVID of its own.
 *
 * @param channel to a verified broker; no client certificate is needed.
 * @param nodeName if it is known; an identity for another node is refused.
 */
export async function attestNode(
  channel: BrokerChannel,
  { token, nodeName }: { readonly token: string; readonly nodeName: string | undefined },
  clock: Clock,
  signal: AbortSignal,
): Promise<Attestation> {
  const { privateKey } = await generateKeyPair('ec-p256')
  const askedAtMs = clock.now().getTime()
  const { svid, bundle, serverTime } = await channel.service.attestNode(
    { serviceAccountToken: token, csr: createCsr(privateKey) },
    { timeoutMs: TIMEOUT_MS, signal },
  )
  const answeredAtMs = clock.now().getTime()
  if (!svid || !bundle) throw new IdentityError('certificate_invalid', 'the broker answered without SVID or bundle')

  const skew = serverTime && skewMs(timestampMs(serverTime), askedAtMs, answeredAtMs)
  const trust = bundleOf(bundle)
  const at = new Date(answeredAtMs + (skew ?? 0))
  const { id, leaf } = verifyX509Svid(
    svid.certificateChain,
    (domain) => (domain.equals(trust.trustDomain) ? trust : undefined),
    at,
  )
  if (!leaf.spki.equals(spkiOf(privateKey)))
    throw new IdentityError('certificate_invalid', 'the broker certified another key than the one asked for')
  checkName(id, nodeName)

  const receivedAtMs = clock.monotonicMs()
  const lifetimeMs = svid.lifetime && durationMs(svid.lifetime)
  return {
    identity: {
      id,
      svid: {
        certificateChain: svid.certificateChain.map((der) => pemEncode('CERTIFICATE', der)).join(''),
        privateKey: pemEncode('PRIVATE KEY', pkcs8Of(privateKey)),
      },
      authorityKeyId: leaf.authorityKeyIdentifier?.toString('hex') ?? '',
      receivedAtMs,
      expiresAtMs: receivedAtMs + leftMs(lifetimeMs, leaf.notAfter, at),
    },
    bundle: trust,
    skewMs: skew,
  }
}

function checkName(id: SpiffeId, nodeName: string | undefined): void {
  const isRight =
    nodeName === undefined
      ? id.isBelow('/countersign/agent')
      : id.equals(SpiffeId.of(id.trustDomain, 'countersign', 'agent', nodeName))
  if (!isRight) throw new IdentityError('certificate_invalid', `the broker takes this agent for ${id}`)
}
