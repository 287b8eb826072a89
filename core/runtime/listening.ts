import { IdentityError } from './errors.ts'

/** What a program that cannot listen is told by: the address is a setting, and no bug. */
export function cannotListen(address: { readonly host: string; readonly port: number }, error: Error): IdentityError {
  const { code } = error as NodeJS.ErrnoException
  const { host, port } = address
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return new IdentityError('address_unavailable', `cannot listen on ${where}: ${code ?? error.message}`, {
    cause: error,
  })
}
