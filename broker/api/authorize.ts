import { IdentityError } from '../../core/runtime/errors.ts'
import { type Caller, certificateExpired, isExpired } from './caller.ts'

/** Which caller may call which method of the NodeService: the one table. A method that is not here is not served. */
export const WHO_MAY_CALL = {
  attestNode: 'anyone',
  issueX509Svids: 'agent',
  sync: 'agent',
} as const

export type Method = keyof typeof WHO_MAY_CALL
export type Agent = Extract<Caller, { kind: 'agent' }>

/**
 * The agent that calls, for the methods that need one. The certificate was judged as the connection was made; that it has
 * not expired since is looked at on each call (design §3).
 *
 * @throws `IdentityError` `agent_certificate_required`, `agent_certificate_expired`, `agent_certificate_invalid`.
 */
export function authorizeAgent(method: Method, caller: Caller | undefined, now: Date): Agent {
  if (WHO_MAY_CALL[method] !== 'agent') throw new TypeError(`${method} is for anyone`)
  if (caller?.kind === 'refused') throw caller.error
  if (caller?.kind !== 'agent') {
    throw new IdentityError('agent_certificate_required', "the call needs an agent's SVID; call AttestNode first")
  }
  if (isExpired(caller.notAfter, now)) throw certificateExpired()
  return caller
}
