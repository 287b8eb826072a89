import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { itemOf } from '../../broker/api/messages.ts'
import { checkBatch, type X509SvidItem } from '../../broker/issuance/batch-shape.ts'
import {
  type IssueX509SvidsRequest,
  IssueX509SvidsRequestSchema,
  Urgency,
} from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { decodeRequest } from '../../proto/request-message.ts'
import { defineTarget, property } from './harness.ts'
import type { Rng } from './rng.ts'

const MAX_BATCH = 20

/** The bytes of a batch, from the wire to the first step of the cycle. */
export const target = defineTarget<Uint8Array>({
  name: 'protobuf',
  generate(rng) {
    const bytes = toBinary(IssueX509SvidsRequestSchema, batch(rng))
    return rng.oneIn(2) ? bytes : bent(rng, bytes)
  },
  run: (bytes) => check(bytes, checkBatch),
  plantedFault: {
    description: 'request IDs that stand twice in a batch',
    run: (bytes) => check(bytes, (items, most) => checkBatch(items.slice(0, 1), Math.min(most, items.length))),
  },
})

function check(bytes: Uint8Array, shape: (items: readonly X509SvidItem[], most: number) => void): void {
  const request = decodeRequest(IssueX509SvidsRequestSchema, bytes)
  const items = request.requests.map(itemOf)
  shape(items, MAX_BATCH)
  property(items.length > 0 && items.length <= MAX_BATCH, 'a batch beyond its bounds was taken')
  const ids = items.map(({ requestId }) => requestId)
  property(new Set(ids).size === ids.length, 'two answers would bear the same name')
  property(
    ids.every((id) => id !== '' && Buffer.byteLength(id) <= 128),
    'a request ID beyond its bounds was taken',
  )
  property(Object.getPrototypeOf({}) === Object.prototype && !('polluted' in {}), 'the prototype of objects changed')
  const again = fromBinary(IssueX509SvidsRequestSchema, toBinary(IssueX509SvidsRequestSchema, request))
  property(again.requests.length === items.length, 'a message is not what it was, once written again')
}

function batch(rng: Rng): IssueX509SvidsRequest {
  const requests = rng.list(0, rng.oneIn(20) ? MAX_BATCH + 3 : 4, () => ({
    requestId: rng.pick(['a', 'b', 'c', '', 'ü'.repeat(65), '__proto__', 'x'.repeat(129), String(rng.next())]),
    serviceAccountToken: rng.pick(['', 'a.b.c', 'x'.repeat(20_000)]),
    csr: rng.bytes(rng.below(40)),
    podUid: rng.pick(['uid', 'other', 'uid', 'x'.repeat(128), '']),
    urgency: rng.pick([Urgency.UNSPECIFIED, Urgency.NEW_POD, 77 as Urgency]),
  }))
  return create(IssueX509SvidsRequestSchema, { requests })
}

/** Cut, doubled, flipped, or with fields that nobody knows, deep groups and endless lengths. */
function bent(rng: Rng, bytes: Uint8Array): Uint8Array {
  const at = rng.below(bytes.length)
  const hostile = [
    Uint8Array.of(0x0b),
    new Uint8Array(300).fill(0x0b),
    Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f),
    Uint8Array.of(0xf8, 0xff, 0xff, 0xff, 0x0f, 0x01),
    Uint8Array.of(0x0a, 0x02, 0xc3, 0x28),
    Uint8Array.of(0x00),
    rng.bytes(rng.below(20)),
  ]
  const middle = rng.oneIn(3) ? new Uint8Array() : rng.pick(hostile)
  return Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(at + rng.below(4))])
}
