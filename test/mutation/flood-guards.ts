import type { Guard } from './guard.ts'

/** What keeps those out who would have us spend more than they do: each was an attack once. */
export const FLOOD_GUARDS: readonly Guard[] = [
  {
    invariant: 'broker: what is not finished is not decoded',
    file: 'proto/grpc-method.ts',
    find: '    requestDeserialize: (bytes: Buffer): Buffer => bytes,',
    replace:
      '    requestDeserialize: (bytes: Buffer): Buffer => Object.assign(bytes, { kept: fromBinary(input, bytes) }),',
    test: 'broker/api/hostile-peers.test.ts',
    title: 'what a stranger does not finish takes no more memory than it is long',
  },
  {
    invariant: 'broker: nothing is inflated',
    file: 'proto/injected-connection.ts',
    find: '    boundMessages(this.#http2Server, service)\n',
    replace: '',
    test: 'broker/api/hostile-peers.test.ts',
    title: 'what is compressed is not taken',
  },
  {
    invariant: 'broker: what is dear to decode is refused before',
    file: 'proto/request-message.ts',
    find: '    if (bytes.length > MAX_FIELDS * LEAST_FIELD_BYTES) checkFields(schema, bytes, MAX_FIELDS)\n',
    replace: '',
    test: 'proto/request-message.test.ts',
    title: 'too many empty messages are refused before they are objects',
  },
  {
    invariant: 'broker: tokens of one node are reviewed so often',
    file: 'broker/attestation/node-attestor.ts',
    find: '      if (retryAfterMs > 0)\n',
    replace: '      if (retryAfterMs < 0)\n',
    test: 'broker/attestation/attestors.test.ts',
    title: 'however many tokens the agent of a node makes, the API server is asked about so many of them',
  },
  {
    invariant: 'admin: what is no namespace is neither asked about nor put down',
    file: 'broker/admin/permissions.ts',
    find: "  if (namespace !== '' && !NAMESPACE.test(namespace))\n",
    replace: "  if (namespace === '-')\n",
    test: 'broker/admin/permissions.test.ts',
    title: 'what is no namespace comes neither to the API server nor into the audit',
  },
  {
    invariant: 'broker: grpc-js is given few messages of a stream at a time',
    file: 'proto/bounded-messages.ts',
    find: '    const end = this[FRAMING].end(chunk, start, MOST_AT_ONCE)\n',
    replace: '    const end = chunk.length\n',
    test: 'proto/bounded-messages.test.ts',
    title: 'the requests of a stream come a few at a time, whole',
  },
  {
    invariant: 'broker: a call with one request has one',
    file: 'proto/bounded-messages.ts',
    find: '  this.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)\n',
    replace: '  if (this.aborted) this.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)\n',
    test: 'proto/bounded-messages.test.ts',
    title: 'a call with one request has one',
  },
]
