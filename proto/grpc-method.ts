import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'

/** A message that is already encoded: one that goes to many streams is encoded once, not once per stream. */
export class Encoded<_O extends DescMessage> {
  readonly bytes: Buffer
  private constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  static of<O extends DescMessage>(schema: O, message: MessageInitShape<O>): Encoded<O> {
    return new Encoded<O>(Buffer.from(toBinary(schema, create(schema, message))))
  }
}

/** The grpc-js definition of one method: its path, its kind and how its messages are encoded. */
export function methodDefinition<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { input: I; output: O },
) {
  const { input, output, methodKind } = method
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
    responseStream: methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
    requestSerialize: (message: MessageInitShape<I>) => encode(input, message),
    // Not here: grpc-js decodes what comes at once, and keeps it for as long as its sender leaves the call open; and it
    // answers INTERNAL when a decoder throws. See `decodeRequest`.
    requestDeserialize: (bytes: Buffer): Buffer => bytes,
    responseSerialize: (message: MessageInitShape<O> | Encoded<O>) =>
      message instanceof Encoded ? message.bytes : encode(output, message),
    responseDeserialize: (bytes: Buffer): MessageShape<O> => fromBinary(output, bytes),
  }
}

/** protobuf-es gives a view of memory of its own; grpc-js wants a Buffer, and the view need not be copied. */
function encode<D extends DescMessage>(schema: D, message: MessageInitShape<D>): Buffer {
  const bytes = toBinary(schema, create(schema, message))
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
