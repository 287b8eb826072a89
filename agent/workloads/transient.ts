import { ERROR_CODES, type StatusName } from '../../core/runtime/error-codes.ts'
import { codeOf } from '../../core/runtime/errors.ts'

/** Statuses of refusals that say nothing about the workload, only about the moment. */
const TRANSIENT: ReadonlySet<StatusName> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED'])

/**
 * Whether `error` will go away by waiting, with the request as it is. A refusal of the workload itself does not, and a
 * bug of the broker (`internal`) might: kubelet's own retries are slow enough for it.
 */
export function isTransient(error: unknown): boolean {
  return TRANSIENT.has(ERROR_CODES[codeOf(error)].status)
}

/** Whether `error` says that the workload has no right to an identity. */
export function isDenial(error: unknown): boolean {
  return ERROR_CODES[codeOf(error)].status === 'PERMISSION_DENIED'
}
