import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { anyPack, anyUnpack, durationFromMs, durationMs } from '@bufbuild/protobuf/wkt'
import type { ServiceError } from '@grpc/grpc-js'
import { Metadata, status } from '@grpc/grpc-js'
import { ERROR_CODES, isErrorCode } from '../core/runtime/error-codes.ts'
import { IdentityError } from '../core/runtime/errors.ts'
import { ErrorInfoSchema, RetryInfoSchema, StatusSchema } from './gen/third_party/google/rpc/error_pb.ts'

const DETAILS_KEY = 'grpc-status-details-bin'
const DOMAIN = 'countersign.dev'

/** What a caller is told. */
export interface CallStatus {
  readonly code: status
  readonly details: string
  readonly metadata: Metadata
}

/**
 * The one mapping from errors to gRPC: an `IdentityError` travels with its code, message, facts and retry time (as
 * `google.rpc.ErrorInfo` and `RetryInfo`); anything else only as INTERNAL, with no detail.
 */
export function toStatus(error: unknown): CallStatus {
  const refusal = error instanceof IdentityError ? error : new IdentityError('internal', 'internal error')
  const code = status[ERROR_CODES[refusal.code].status]
  const info = { reason: refusal.code, domain: DOMAIN, metadata: { ...refusal.facts } }
  const details = [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, info))]
  if (refusal.retryAfterMs !== undefined) {
    const retryDelay = durationFromMs(Math.ceil(refusal.retryAfterMs))
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })))
  }
  const metadata = new Metadata()
  const message = `${refusal.code}: ${refusal.message}`
  metadata.set(DETAILS_KEY, Buffer.from(toBinary(StatusSchema, create(StatusSchema, { code, message, details }))))
  return { code, details: message, metadata }
}

/** The refusal behind a failed call: the peer's own, when it speaks ours; else `broker_unavailable` with the cause. */
export function fromServiceError(error: ServiceError): IdentityError {
  const [bytes] = error.metadata?.get(DETAILS_KEY) ?? []
  if (bytes instanceof Buffer) {
    const refusal = refusalIn(bytes, error)
    if (refusal) return refusal
  }
  const timedOut = error.code === status.DEADLINE_EXCEEDED
  return new IdentityError(
    timedOut ? 'deadline_exceeded' : 'broker_unavailable',
    timedOut ? 'the call was not answered in time' : 'the call did not reach the other side, or was cut off',
    { cause: error },
  )
}

function refusalIn(bytes: Buffer, cause: ServiceError): IdentityError | undefined {
  try {
    const { message, details } = fromBinary(StatusSchema, bytes)
    const info = details.map((any) => anyUnpack(any, ErrorInfoSchema)).find((found) => found !== undefined)
    if (info?.domain !== DOMAIN || !isErrorCode(info.reason)) return undefined
    const retry = details.map((any) => anyUnpack(any, RetryInfoSchema)).find((found) => found !== undefined)
    const words = message.startsWith(`${info.reason}: `) ? message.slice(info.reason.length + 2) : message
    return new IdentityError(info.reason, words, {
      cause,
      facts: info.metadata,
      ...(retry?.retryDelay && { retryAfterMs: durationMs(retry.retryDelay) }),
    })
  } catch {
    return undefined
  }
}
