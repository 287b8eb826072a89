/**
 * Aborted by Ctrl-C or SIGTERM, so that whoever started a cluster can stop it before this process ends. A second
 * signal ends the process as usual; the next start then removes what is left.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => controller.abort(new Error(`stopped by ${signal}`)))
  }
  return controller.signal
}
