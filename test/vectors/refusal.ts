import { expect } from 'vitest'

/** What `toThrow` compares with: an `IdentityError` of this code whose message holds `says`. */
export function refusal(code: string, says = ''): Error {
  return expect.objectContaining({ name: 'IdentityError', code, message: expect.stringContaining(says) }) as Error
}
