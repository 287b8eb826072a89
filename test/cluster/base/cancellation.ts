import { AsyncLocalStorage } from 'node:async_hooks'

// Ambient, since every wait and every start of a process below must notice, however deep.
const current = new AsyncLocalStorage<AbortSignal>()

/** Runs `action`; once `signal` is aborted, what it waits for or starts next fails with the signal's reason. */
export function whileNotAborted<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  return current.run(signal, action)
}

/** Fails if the {@link whileNotAborted} around the caller, if any, was aborted. */
export function throwIfAborted(): void {
  current.getStore()?.throwIfAborted()
}
