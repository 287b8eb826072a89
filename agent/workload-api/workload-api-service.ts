import type { DescMessage } from '@bufbuild/protobuf'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Encoded } from '../../proto/grpc-method.ts'
import type { SpiffeWorkloadAPI } from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import type { Call, Handlers, StreamingCall } from '../../proto/grpc-server.ts'
import type { Latest } from '../workloads/latest.ts'
import type { Delivered } from '../workloads/workload.ts'
import { Responses } from './responses.ts'
import { checkSecurityHeader } from './security-header.ts'
import { workloadOf } from './workload-peer.ts'

interface Dependencies {
  /** What the workload of that name follows; `undefined` if there is none. */
  readonly identityOf: (id: string) => Latest<Delivered> | undefined
  readonly clock: Clock
}

/** Streams of one workload at a time; a process needs two. Of all volumes of a pod there are at most `MAX_OPEN_STREAMS`. */
const MAX_STREAMS = 128

/**
 * The SPIFFE Workload API. The socket that a call came on names the caller (design §3), and the connection bears that
 * name as its peer.
 */
export function workloadApiService({ identityOf, clock }: Dependencies): Handlers<typeof SpiffeWorkloadAPI> {
  const responses = new Responses()

  const identity = ({ metadata, peer }: Call): Latest<Delivered> => {
    checkSecurityHeader(metadata)
    const id = workloadOf(peer)
    const latest = id === undefined ? undefined : identityOf(id)
    if (!latest) throw new IdentityError('workload_unknown', 'this socket belongs to no workload any more')
    if (latest.followers >= MAX_STREAMS)
      throw new IdentityError('overloaded', `a workload has at most ${MAX_STREAMS} streams`)
    return latest
  }

  return {
    fetchX509SVID: (_request, call) => changes(identity(call), (delivered) => responses.svid(delivered), call, clock),
    fetchX509Bundles: (_request, call) =>
      changes(identity(call), ({ bundles }) => responses.bundles(bundles), call, clock),

    fetchJWTSVID: notServed,
    validateJWTSVID: notServed,
    // oxlint-disable-next-line require-yield
    async *fetchJWTBundles(_request, { metadata }) {
      refuse(metadata)
    },
    // oxlint-disable-next-line require-yield
    async *fetchWITSVID(_request, { metadata }) {
      refuse(metadata)
    },
    // oxlint-disable-next-line require-yield
    async *fetchWITBundles(_request, { metadata }) {
      refuse(metadata)
    },
  }
}

/** Time for a caller that was late to take its last message and the status, before its stream is reset. */
const LAST_WORDS_MS = 500

/**
 * The state at once, then on change only (AW-02, AW-04): a renewed SVID, for example, is no news to who follows bundles.
 * A caller that takes nothing does not keep its stream beyond the end of the series.
 */
async function* changes<O extends DescMessage>(
  latest: Latest<Delivered>,
  encode: (delivered: Delivered) => Encoded<O>,
  { signal, fail, reset }: StreamingCall,
  clock: Clock,
): AsyncGenerator<Encoded<O>> {
  const interrupt = (reason: Error) => {
    fail(reason)
    void clock.sleep(LAST_WORDS_MS).then(reset)
  }
  let sent: Encoded<O> | undefined
  for await (const delivered of latest.follow(signal, interrupt)) {
    const response = encode(delivered)
    if (response === sent || (sent && response.bytes.equals(sent.bytes))) continue
    sent = response
    yield response
  }
}

async function notServed(_request: unknown, { metadata }: Call): Promise<never> {
  return refuse(metadata)
}

/** Workload API §1: a profile that is not served answers so, to every caller with the header. */
function refuse(metadata: Call['metadata']): never {
  checkSecurityHeader(metadata)
  throw new IdentityError('not_implemented', 'the X.509 profile alone is served')
}
