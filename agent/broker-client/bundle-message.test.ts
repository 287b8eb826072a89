import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { systemClock } from '../../core/runtime/system-clock.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { BundlesSchema } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { bundlesOf } from './bundle-message.ts'

const ours = TrustDomain.parse('test.example')
const { bundle: own } = await FakeBrokerAuthorities.create(ours, systemClock)
const { bundle: partner } = await FakeBrokerAuthorities.create(TrustDomain.parse('partner.example'), systemClock)
const { bundle: another } = await FakeBrokerAuthorities.create(TrustDomain.parse('partner.example'), systemClock)
const { bundle: stranger } = await FakeBrokerAuthorities.create(TrustDomain.parse('stranger.example'), systemClock)

const sent = ({ trustDomain, authorities, sequence }: X509Bundle) => ({
  trustDomain: trustDomain.toString(),
  x509Authorities: authorities.map(({ der }) => der),
  sequence,
})

test('a federated domain that is sent twice is one bundle: each has one file in a volume', () => {
  const message = create(BundlesSchema, { own: sent(own), federated: [partner, stranger, another].map(sent) })
  const { federated } = bundlesOf(message, ours)
  expect(federated.map(({ trustDomain }) => trustDomain.toString())).toEqual(['partner.example', 'stranger.example'])
  expect(federated[0]?.authorities.map(({ serialNumber }) => serialNumber)).toEqual(
    [partner, another].flatMap(({ authorities }) => authorities.map(({ serialNumber }) => serialNumber)),
  )
})
