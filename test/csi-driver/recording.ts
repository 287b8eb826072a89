import { Buffer } from 'node:buffer'
import type { JsonObject } from '@bufbuild/protobuf'

/** One call of kubelet's, as it was made and answered. */
export interface RecordedCall {
  /** `<service>/<method>`. */
  readonly method: string
  readonly request: JsonObject
  /** `ok`, or the code of the refusal. */
  readonly outcome: string
}

export interface Recording {
  /** Who called, for example `kubelet v1.37.1`. */
  readonly caller: string
  readonly kubeletDirectory: string
  readonly audience: string
  readonly calls: readonly RecordedCall[]
}

const JWT = /\beyJ[\w-]+\.([\w-]+)\.[\w-]+/g

/** The text without any token that could be used: claims stay, without the token's own ID, and no signature. */
export function withoutTokens(text: string): string {
  return text.replaceAll(JWT, (_, payload: string) => {
    const { jti: _jti, ...claims } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    return `${encode({ alg: 'none' })}.${encode(claims)}.${encode('removed')}`
  })
}
