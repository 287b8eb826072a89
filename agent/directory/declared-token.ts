import { z } from 'zod'
import { IdentityError } from '../../core/runtime/errors.ts'
import { readSmallFile } from '../../core/runtime/small-file.ts'
import type { PodRef } from '../workloads/workload.ts'
import { tokenPath } from './token-path.ts'

/** A token and whose it says it is. Nothing of it is believed here: that is for the broker. */
export interface DeclaredToken {
  readonly token: string
  readonly pod: PodRef
}

const MAX_BYTES = 16 * 1024

/** No name of Kubernetes is longer. */
const name = z.string().max(253)
const claims = z.object({
  'kubernetes.io': z.object({
    namespace: name,
    pod: z.object({ name, uid: name.min(1) }),
    serviceaccount: z.object({ name }),
  }),
})

/**
 * Reads the token of a declared workload.
 *
 * @throws {@link IdentityError} `config_invalid`, `token_malformed`, `token_too_large` or `token_unbound`; no word of it is repeated.
 */
export async function readDeclaredToken(file: string): Promise<DeclaredToken> {
  const token = await readToken(file)
  const [, payload = '', signature] = token.split('.')
  if (signature === undefined) throw new IdentityError('token_malformed', `${file} holds no JWT`)
  let document: unknown
  try {
    document = JSON.parse(Buffer.from(payload, 'base64url').toString())
  } catch {
    throw new IdentityError('token_malformed', `${file} holds no JWT`)
  }
  const parsed = claims.safeParse(document)
  if (!parsed.success) throw new IdentityError('token_unbound', `the token in ${file} is not bound to a pod`)
  const { namespace, pod, serviceaccount } = parsed.data['kubernetes.io']
  return { token, pod: { podUid: pod.uid, podName: pod.name, namespace, serviceAccount: serviceaccount.name } }
}

async function readToken(file: string): Promise<string> {
  let text: string
  try {
    text = (await readSmallFile(await tokenPath(file), MAX_BYTES, 'none')).trim()
  } catch (error) {
    if (error instanceof IdentityError) throw error
    throw new IdentityError(
      'config_invalid',
      `the token file ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`,
    )
  }
  if (text.length > MAX_BYTES) throw new IdentityError('token_too_large', `${file} is larger than 16 KiB`)
  return text
}
