import { randomBytes } from 'node:crypto'

/** Randomness as an argument, so that a test can repeat what it saw. */
export interface Random {
  /** `count` bytes, unpredictable to an attacker. */
  bytes(count: number): Uint8Array
  /** A number from 0 (included) to 1 (excluded), for jitter. */
  fraction(): number
}

/** Asking for a few bytes costs as much as asking for many (6 µs), so they are drawn ahead. */
const POOL_BYTES = 4096
let pool = Buffer.alloc(0)
let used = 0

function drawn(count: number): Uint8Array {
  if (count > POOL_BYTES / 4) return randomBytes(count)
  if (used + count > pool.length) {
    pool = randomBytes(POOL_BYTES)
    used = 0
  }
  const bytes = Uint8Array.from(pool.subarray(used, used + count))
  // What is handed out does not stay behind.
  pool.fill(0, used, used + count)
  used += count
  return bytes
}

/** The operating system's randomness: an edge file. */
export const systemRandom: Random = {
  bytes: drawn,
  fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
}
