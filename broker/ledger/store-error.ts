import type { ErrorCode } from '../../core/runtime/error-codes.ts'
import { IdentityError } from '../../core/runtime/errors.ts'

/** SQLite's primary result codes that are told apart: https://www.sqlite.org/rescode.html */
const SQLITE = { busy: 5, locked: 6, ioError: 10, corrupt: 11, full: 13, notADatabase: 26 } as const

/** A failure of the store as it crosses from the worker: plain data. */
export interface StoreFailure {
  readonly code: ErrorCode
  /** For people. */
  readonly message: string
  /** What SQLite said, for the log alone. */
  readonly detail: string
}

/** Sorts what SQLite (or our own code beside it) threw. */
export function storeFailure(error: unknown): StoreFailure {
  const detail = error instanceof Error ? error.message : 'unknown'
  if (error instanceof IdentityError) return { code: error.code, message: error.message, detail }
  const errcode = (error as { errcode?: unknown }).errcode
  switch (typeof errcode === 'number' ? errcode & 0xff : -1) {
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return { code: 'store_corrupt', message: 'the ledger is damaged; restore it from a back-up', detail }
    case SQLITE.full:
      return { code: 'store_unavailable', message: 'the ledger cannot grow: the disk is full', detail }
    case SQLITE.busy:
    case SQLITE.locked:
      return { code: 'store_unavailable', message: 'the ledger is locked by another process', detail }
    default:
      return { code: 'store_unavailable', message: 'the ledger cannot be read or written', detail }
  }
}

export function storeError({ code, message, detail }: StoreFailure): IdentityError {
  return new IdentityError(code, message, { cause: new Error(detail) })
}
