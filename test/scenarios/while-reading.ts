/** Reads until `signal` is aborted, and throws what it finds wrong, or the signal's reason. */
export type Reader = (signal: AbortSignal) => Promise<void>

/**
 * Runs `action` while all of `readers` read. Fails as soon as one of them does; whatever the outcome, none of them still
 * reads afterwards.
 */
export async function whileReading(readers: readonly Reader[], action: () => Promise<void>): Promise<void> {
  const stop = new AbortController()
  const reading = readers.map(async (read) => {
    try {
      await read(stop.signal)
    } catch (error) {
      if (!stop.signal.aborted || error !== stop.signal.reason) throw error
    }
    if (!stop.signal.aborted) throw new Error('a reader ended before it was told to')
  })
  try {
    await Promise.race([action(), ...reading])
  } finally {
    stop.abort()
    await Promise.allSettled(reading)
  }
  await Promise.all(reading)
}
