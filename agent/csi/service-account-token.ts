import { Buffer } from 'node:buffer'
import { IdentityError } from '../../core/runtime/errors.ts'

/** Where kubelet puts the tokens: among the secrets from Kubernetes 1.35 on, else in the context. */
const TOKENS = 'csi.storage.k8s.io/serviceAccount.tokens'
const MAX_TOKENS_CHARACTERS = 256 * 1024
const MAX_TOKEN_CHARACTERS = 16 * 1024

/** Strings by name, as protobuf hands them over. */
export type StringMap = Readonly<Record<string, string>>

/**
 * The pod's token for `audience`: `{"<audience>": {"token": …, "expirationTimestamp": …}, …}`, a JSON text. It is only
 * looked at so far as to see whose it is; whether it is to be believed is for the broker to say. No error repeats any
 * of it (invariant 6).
 *
 * @throws {@link IdentityError} `volume_request_invalid`, `token_audience_wrong`, `token_too_large`, `token_malformed`,
 *   or `workload_mismatch` for another pod's.
 */
export function podToken(secrets: StringMap, context: StringMap, audience: string, podUid: string): string {
  const text = own(secrets, TOKENS) ?? own(context, TOKENS)
  if (text === undefined) {
    throw new IdentityError('volume_request_invalid', `${TOKENS} is missing; set tokenRequests on the CSIDriver object`)
  }
  const tokens = text.length <= MAX_TOKENS_CHARACTERS ? parseJson(text) : undefined
  if (!isObject(tokens)) throw new IdentityError('volume_request_invalid', `${TOKENS} is not a JSON object of tokens`)
  const entry = Object.hasOwn(tokens, audience) ? tokens[audience] : undefined
  if (entry === undefined) {
    throw new IdentityError('token_audience_wrong', `no token is for the audience ${audience}`)
  }
  const token = isObject(entry) ? entry['token'] : undefined
  if (typeof token !== 'string') throw new IdentityError('token_malformed', 'the token is not a JWT')
  if (token.length > MAX_TOKEN_CHARACTERS) throw new IdentityError('token_too_large', 'the token exceeds 16 KiB')
  if (podUidOf(token) !== podUid) {
    throw new IdentityError('workload_mismatch', 'the token is bound to another pod than the volume')
  }
  return token
}

/** The claim `kubernetes.io.pod.uid`, not verified. */
function podUidOf(token: string): unknown {
  const [header, payload, signature, ...more] = token.split('.')
  if (!header || !payload || !signature || more.length > 0) {
    throw new IdentityError('token_malformed', 'the token is not a JWT')
  }
  const claims = parseJson(Buffer.from(payload, 'base64url').toString())
  const kubernetes = isObject(claims) ? claims['kubernetes.io'] : undefined
  const pod = isObject(kubernetes) ? kubernetes['pod'] : undefined
  if (!isObject(pod)) throw new IdentityError('token_unbound', 'the token is not bound to a pod')
  return pod['uid']
}

/** JSON.parse quotes what it could not read. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Not what every object inherits: names come from outside. */
export function own(map: StringMap, name: string): string | undefined {
  return Object.hasOwn(map, name) ? map[name] : undefined
}
