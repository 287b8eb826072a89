import { randomBytes } from 'node:crypto'

/** Randomness as an argument, so that a test can repeat what it saw. */
export interface Random {
  /** `count` bytes, unpredictable to an attacker. */
  bytes(count: number): Uint8Array
  /** A number from 0 (included) to 1 (excluded), for jitter. */
  fraction(): number
}

/** The operating system's randomness: an edge file. */
export const systemRandom: Random = {
  bytes: (count) => randomBytes(count),
  fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
}
