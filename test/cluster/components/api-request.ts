import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { API_SERVER_URL, CA_FILE } from '../layout.ts'
import { pkiFile } from './pki.ts'

export interface ApiResponse {
  status: number
  body: string
}

let agent: Agent | undefined

/** One request to the API server as `system:masters`. Fails only when no answer comes; see {@link callApi} for the rest. */
export function requestApi(method: string, path: string, body?: unknown, timeout = 10_000): Promise<ApiResponse> {
  agent ??= new Agent({
    keepAlive: true,
    ca: readFileSync(CA_FILE),
    cert: readFileSync(pkiFile('admin.crt')),
    key: readFileSync(pkiFile('admin.key')),
  })
  const headers = body === undefined ? {} : { 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const call = request(
      new URL(path, API_SERVER_URL),
      { method, headers, agent: agent ?? false, timeout },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
        response.on('error', reject)
      },
    )
    call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer for ${timeout / 1000} s`)))
    call.on('error', reject)
    call.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** As {@link requestApi}, but any answer other than 2xx fails with what the API server said. */
export async function callApi<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await requestApi(method, path, body)
  if (response.status >= 300) throw new Error(`${method} ${path}: ${response.status} ${response.body.trim()}`)
  return JSON.parse(response.body) as T
}

/** Whether the API server calls itself ready. */
export async function isApiServerReady(): Promise<boolean> {
  return (await requestApi('GET', '/readyz', undefined, 2_000)).status === 200
}

/** Closes kept connections; the next cluster has another CA. */
export function forgetApiServer(): void {
  agent?.destroy()
  agent = undefined
}
