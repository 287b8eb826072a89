import { type DescField, type DescMessage, fromBinary, type MessageShape, ScalarType } from '@bufbuild/protobuf'
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { IdentityError } from '../core/runtime/errors.ts'

/**
 * Fields of one request, those of messages within it and elements of lists included: 10,000 serial numbers, and the rest.
 * Each becomes an object or an entry of one, whose memory is a hundred times that of the two octets that it may take.
 */
export const MAX_FIELDS = 16_384
/** A tag of one octet, and a value or length of one. */
const LEAST_FIELD_BYTES = 2

/**
 * Decodes what a caller has sent. What grows beyond all measure when decoded is refused, and what nobody knows is not
 * kept: a field of two octets would cost eighty.
 *
 * @throws {@link IdentityError} `request_invalid`.
 */
export function decodeRequest<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    // Most requests are too short to hold so many, and need not be counted.
    if (bytes.length > MAX_FIELDS * LEAST_FIELD_BYTES) checkFields(schema, bytes, MAX_FIELDS)
    return fromBinary(schema, bytes, { readUnknownFields: false })
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'undecodable'
    throw new IdentityError('request_invalid', `the message cannot be decoded: ${reason}`)
  }
}

/** @returns how many fields are left of `allowed`. @throws where there are more. */
function checkFields(schema: DescMessage, bytes: Uint8Array, allowed: number): number {
  const reader = new BinaryReader(bytes)
  let left = allowed
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag()
    left = taken(left, 1)
    const field =
      wireType === WireType.LengthDelimited ? schema.fields.find((each) => each.number === number) : undefined
    if (!field) {
      reader.skip(wireType, number)
      continue
    }
    const value = reader.bytes()
    if (field.fieldKind !== 'map' && field.message) left = checkFields(field.message, value, left)
    else left = taken(left, mostElements(field, value.length))
  }
  return left
}

function taken(left: number, fields: number): number {
  if (fields > left) throw new RangeError(`it has more than ${MAX_FIELDS} fields`)
  return left - fields
}

/** How many values so many octets may hold beside the one that the tag stands for. */
function mostElements(field: DescField, length: number): number {
  if (field.fieldKind === 'map') return length / LEAST_FIELD_BYTES
  const isText = field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES
  // Numbers of a list stand one after the other, without tags.
  return field.fieldKind === 'list' && !isText ? length : 0
}
