/**
 * Called before each numbered step of the cycle with its name, for tests that crash or stop the broker just there. Only
 * ever handed in by a test; nothing in the configuration leads to it.
 */
export type FailPoint = (step: IssuanceStep) => void | Promise<void>

export type IssuanceStep =
  | '2 attest'
  | '3 register'
  | '4 request'
  | '5 deny list'
  | '6 authority'
  | '7 intent'
  | '8 sign'
  | '9 result'
  | '10 answer'
