import { ERROR_CODES, type ErrorCode } from '../../core/runtime/error-codes.ts'
import type { IdentityError } from '../../core/runtime/errors.ts'

const ROLES =
  'Have somebody bind the ClusterRole countersign-cli-user to you, and the Roles of that name in countersign-system and countersign-agent: docs/cli.md. For svid show --pod it takes create pods/exec in the namespace of the pod, besides.'
const LOG_IN = 'Log in, or give another --context; kubectl auth whoami says who you are.'

/** Where the table of codes speaks to others than the person at the command; `undefined`: the message says what to do. */
const OWN: Readonly<Partial<Record<ErrorCode, string | undefined>>> = {
  config_invalid: undefined,
  request_invalid: undefined,
  internal: undefined,
  kubernetes_unavailable: 'Check --kubeconfig and --context, the network, and kubectl version.',
  broker_unavailable: 'countersign check looks at all that is needed for it.',
  deadline_exceeded: 'countersign check looks at all that is needed for it; --request-timeout gives more time.',
}

/** What the person who ran the command can do about an error, where its message does not say so. */
export function remedyOf({ code, cause }: IdentityError): string | undefined {
  if (code === 'kubernetes_forbidden')
    return (cause as { readonly code?: unknown } | undefined)?.code === 401 ? LOG_IN : ROLES
  return Object.hasOwn(OWN, code) ? OWN[code] : ERROR_CODES[code].remedy
}
