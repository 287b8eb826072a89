import type { AccessReviewSpec, FakeAuthorizer } from './fake-authorizer.ts'
import { type FakeKubernetesState, type ObjectKind, StatusError, type StoredObject } from './fake-kubernetes-state.ts'
import type { FakeKubernetesStore } from './fake-kubernetes-store.ts'
import type { ReviewStatus } from './fake-token-authenticator.ts'
import type { TokenIssuer } from './token-issuer.ts'
import { goJson } from './go-json.ts'

/** What answers come from. */
export interface FakeApi {
  readonly state: FakeKubernetesState
  readonly store: FakeKubernetesStore
  readonly issuer: TokenIssuer
  readonly authorizer: FakeAuthorizer
  review(token: string, audiences: readonly string[]): ReviewStatus
}

interface Asked {
  readonly method: string
  readonly path: string
  readonly text: string
}

interface Reply {
  readonly status: number
  readonly body?: string
}

interface ObjectBody {
  metadata: { name: string; labels?: Record<string, string> }
  spec?: StoredObject['spec']
}

interface TokenRequestSpec {
  audiences?: string[]
  expirationSeconds?: number
  boundObjectRef?: { kind: string; name: string; uid?: string }
}

/** The least life that TokenRequest gives, in seconds. */
const MIN_TOKEN_SECONDS = 600

const OBJECT_PATH = /^\/api\/v1(?:\/namespaces\/([^/]+))?\/(namespaces|nodes|serviceaccounts|pods)(?:\/([^/]+))?$/
const TOKEN_PATH = /^\/api\/v1\/namespaces\/([^/]+)\/serviceaccounts\/([^/]+)\/token$/

/** Answers as the API server does, with a Status object where it refuses. */
export function answer(api: FakeApi, asked: Asked): Reply {
  try {
    const { status = 200, object } = route(api, asked)
    return { status, body: goJson(object) }
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    const { status, message } = error
    return { status, body: JSON.stringify({ kind: 'Status', status: 'Failure', message, code: status }) }
  }
}

function route(api: FakeApi, { method, path: pathAndQuery, text }: Asked): { status?: number; object: unknown } {
  const { pathname: path, searchParams } = new URL(pathAndQuery, 'https://fake')
  const body: unknown = text === '' ? {} : JSON.parse(text)
  if (path === '/openid/v1/jwks') return { object: api.issuer.jwks() }
  if (path === '/.well-known/openid-configuration') {
    return { object: { issuer: api.issuer.issuer, jwks_uri: 'https://127.0.0.1/openid/v1/jwks' } }
  }
  if (path === '/apis/authentication.k8s.io/v1/tokenreviews') {
    const { spec } = body as { spec: { token: string; audiences?: string[] } }
    return { status: 201, object: { kind: 'TokenReview', spec, status: api.review(spec.token, spec.audiences ?? []) } }
  }
  if (path === '/apis/authorization.k8s.io/v1/subjectaccessreviews') {
    const { spec } = body as { spec: AccessReviewSpec }
    return { status: 201, object: { kind: 'SubjectAccessReview', spec, status: api.authorizer.review(spec) } }
  }
  const [, namespace, serviceAccount] = TOKEN_PATH.exec(path) ?? []
  if (namespace && serviceAccount) {
    return {
      status: 201,
      object: requestToken(api, { namespace, serviceAccount }, (body as { spec: TokenRequestSpec }).spec),
    }
  }
  const stored = api.store.answer(method, path, body)
  if (stored) return stored
  return objects(api.state, { method, path, body, graceSeconds: Number(searchParams.get('gracePeriodSeconds') ?? 30) })
}

function requestToken(
  { state, issuer }: FakeApi,
  { namespace, serviceAccount }: { namespace: string; serviceAccount: string },
  { audiences = [], expirationSeconds = 3600, boundObjectRef: pod }: TokenRequestSpec,
): unknown {
  if (expirationSeconds < MIN_TOKEN_SECONDS)
    throw new StatusError(422, 'may not specify a duration less than 10 minutes')
  const facts = state.factsOf(namespace, {
    serviceAccount,
    ...(pod && { pod: pod.name }),
    ...(pod?.uid !== undefined && { podUid: pod.uid }),
  })
  const audience = audiences[0] ?? issuer.issuer
  return {
    kind: 'TokenRequest',
    status: { token: issuer.mint({ facts, audience, lifetimeSeconds: expirationSeconds }) },
  }
}

function objects(
  state: FakeKubernetesState,
  { method, path, body, graceSeconds }: { method: string; path: string; body: unknown; graceSeconds: number },
): { status?: number; object: unknown } {
  const [, namespace, kind, name] = (OBJECT_PATH.exec(path) as [string, string?, ObjectKind?, string?] | null) ?? []
  if (!kind) throw new StatusError(404, 'the server could not find the requested resource')
  const where = namespace === undefined ? {} : { namespace }
  if (method === 'POST') {
    const { metadata, spec } = body as ObjectBody
    return { status: 201, object: state.create(kind, { ...metadata, ...where }, spec) }
  }
  if (name === undefined) return { object: { items: state.list(kind) } }
  if (method === 'DELETE') {
    state.delete(kind, { name, ...where }, graceSeconds)
    return { object: { kind: 'Status', status: 'Success' } }
  }
  return { object: state.get(kind, { name, ...where }) }
}
