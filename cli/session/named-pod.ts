import { IdentityError } from '../../core/runtime/errors.ts'
import type { Session } from './session.ts'

export interface NamedPod {
  readonly namespace: string
  readonly name: string
}

/** RFC 1123 subdomain. */
const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/

/**
 * The pod that a command line names: `namespace/name`, or a name in the namespace of {@link Session.namespace}.
 *
 * @param what for messages: the flag or argument.
 * @throws {@link IdentityError} `config_invalid`.
 */
export async function namedPod(what: string, text: string, session: Pick<Session, 'namespace'>): Promise<NamedPod> {
  const parts = text.split('/')
  if (parts.length > 2 || parts.includes(''))
    throw new IdentityError('config_invalid', `${what} ${text}: write the name of a pod, or namespace/name`)
  const [first = '', second] = parts
  for (const part of parts)
    if (!NAME.test(part))
      throw new IdentityError(
        'config_invalid',
        `${what} ${text}: ${part} is no lower-case name as Kubernetes allows it`,
      )
  return second === undefined
    ? { namespace: await session.namespace(), name: first }
    : { namespace: first, name: second }
}
