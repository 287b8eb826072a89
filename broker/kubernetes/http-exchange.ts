import { Buffer } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { type Agent, request } from 'node:https'
import type { ApiRequest } from './api-request.ts'
import type { Credentials } from './credentials.ts'

/** Where a request goes, and as whom. */
export interface Destination {
  readonly url: URL
  readonly agent: Agent
  readonly credentials: Credentials
}

/** What is known of a request while it runs. */
export interface Attempt {
  reused: boolean
  giveUp: () => void
}

export interface Exchanged {
  readonly message: { readonly status: number; readonly retryAfter: string | undefined }
  readonly body: string
}

/** A page of a list that is larger is asked for in smaller pages. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024
/**
 * No object is larger: etcd takes 1.5 MiB, and Go makes six octets of `<` in JSON. Nothing that is read for a pod that
 * waits may be as large, since many of those are read at a time.
 */
export const MAX_OBJECT_BYTES = 10 * 1024 * 1024

/** One request and all of its answer. */
export function exchange(
  asked: ApiRequest,
  destination: Destination,
  signal: AbortSignal,
  attempt: Attempt,
): Promise<Exchanged> {
  return new Promise((resolve, reject) => {
    start(asked, destination, signal, attempt, {
      answered: (response) => void readExchanged(response, asked.maxBytes).then(resolve, reject),
      failed: reject,
    })
  })
}

/** One request and the beginning of its answer, which is still coming. */
export function openExchange(
  asked: ApiRequest,
  destination: Destination,
  signal: AbortSignal,
  attempt: Attempt,
): Promise<IncomingMessage> {
  return new Promise((answered, failed) => start(asked, destination, signal, attempt, { answered, failed }))
}

export async function readExchanged(response: IncomingMessage, maxBytes = MAX_RESPONSE_BYTES): Promise<Exchanged> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw new AnswerTooLarge(maxBytes)
    chunks.push(chunk)
  }
  const { statusCode: status = 0, headers } = response
  return { message: { status, retryAfter: headers['retry-after'] }, body: Buffer.concat(chunks).toString('utf8') }
}

/** The answer is larger than we hold in memory. */
export class AnswerTooLarge extends Error {
  constructor(maxBytes: number) {
    super(`the answer is larger than ${maxBytes} bytes`)
  }
}

interface Outcome {
  readonly answered: (response: IncomingMessage) => void
  readonly failed: (error: Error) => void
}

function start(
  asked: ApiRequest,
  { url, agent, credentials }: Destination,
  signal: AbortSignal,
  attempt: Attempt,
  { answered, failed }: Outcome,
): void {
  const { body, accept = 'application/json', contentType = 'application/json' } = asked
  const headers = {
    ...credentials.headers,
    accept,
    'user-agent': 'countersign-broker',
    ...(body !== undefined && { 'content-type': contentType, 'content-length': Buffer.byteLength(body) }),
  }
  // A server behind a path, as Rancher's are, keeps it.
  const path = url.pathname.replace(/\/$/, '') + asked.path
  const options = { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || 443, method: asked.method, path }
  const sent = request({ ...options, headers, agent, signal }, answered)
  attempt.giveUp = () => void sent.destroy(new Error('no answer in time'))
  sent.on('error', (error) => {
    attempt.reused = sent.reusedSocket
    failed(error)
  })
  sent.end(body)
}
