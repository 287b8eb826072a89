/** Octets before each message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const HEAD_BYTES = 5
const LENGTH_AT = 1
/** Of a message that comes in parts, at first: most are complete with the next. */
const FIRST_BYTES = 1024
/** Parts of one message: so many in any case, and one more for so many octets. HTTP/2 cuts at 16 KiB. */
const MOST_PARTS = 64
const BYTES_PER_PART = 256

const NOTHING = Buffer.alloc(0)

/** What somebody sends who has no messages in mind. */
export class TooManyParts extends Error {
  override readonly name = 'TooManyParts'
}

/**
 * Makes whole messages of what comes on a stream, however it is cut. A message in parts is copied together: kept as they
 * came, parts of one octet would take a hundred times as much, and each the whole of what was read from the network with it.
 */
export class WholeMessages {
  readonly #maxBytes: number
  readonly #most: number
  /** The beginning of a message, with its head. */
  #begun = NOTHING
  #length = 0
  #parts = 0
  #ended = 0
  #isTooLong = false

  /**
   * @param maxBytes the longest message, without its head.
   * @param most how many messages are given out in one piece.
   */
  constructor(maxBytes: number, most: number) {
    this.#maxBytes = maxBytes
    this.#most = most
  }

  /** How many messages have been given out. */
  get ended(): number {
    return this.#ended
  }

  /** Whether a message has begun that is not complete. */
  get hasBegun(): boolean {
    return this.#length > 0
  }

  /**
   * @returns the messages that are complete with `chunk`, in pieces. Of one that is too long its head, so that it is
   *   refused by whoever reads it; and nothing more.
   * @throws {@link TooManyParts}
   */
  take(chunk: Buffer): Buffer[] {
    const pieces: Buffer[] = []
    for (let at = 0; at < chunk.length && !this.#isTooLong;) {
      if (this.#length > 0) {
        at = this.#goOn(chunk, at, pieces)
        continue
      }
      const end = this.#endOfWhole(chunk, at)
      if (end > at) pieces.push(chunk.subarray(at, end))
      else this.#begin(chunk.subarray(at), pieces)
      at = end > at ? end : chunk.length
    }
    return pieces
  }

  /** Behind the last of the messages that are complete in `chunk` from `start` on. */
  #endOfWhole(chunk: Buffer, start: number): number {
    let end = start
    for (let count = 0; count < this.#most && chunk.length - end >= HEAD_BYTES; count += 1) {
      const behind = end + HEAD_BYTES + chunk.readUInt32BE(end + LENGTH_AT)
      if (behind > chunk.length) break
      end = behind
      this.#ended += 1
    }
    return end
  }

  #begin(bytes: Buffer, pieces: Buffer[]): void {
    this.#begun = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, bytes.length))
    this.#length = bytes.copy(this.#begun)
    this.#parts = 1
    this.#checkLength(pieces)
  }

  /** @returns how far `chunk` has been taken. */
  #goOn(chunk: Buffer, start: number, pieces: Buffer[]): number {
    this.#parts += 1
    if (this.#parts > MOST_PARTS + this.#length / BYTES_PER_PART)
      throw new TooManyParts('one message in too many parts')
    let at = start
    if (this.#length < HEAD_BYTES) {
      at = this.#copy(chunk, at, HEAD_BYTES)
      if (!this.#checkLength(pieces)) return at
    }
    const whole = HEAD_BYTES + this.#begun.readUInt32BE(LENGTH_AT)
    at = this.#copy(chunk, at, whole)
    if (this.#length < whole) return at
    pieces.push(this.#begun.subarray(0, whole))
    this.#ended += 1
    this.#length = 0
    // A stream that lives for days keeps no message that it once had.
    this.#begun = NOTHING
    return at
  }

  /** Copies until there are `wanted` octets, or the end of `chunk`. */
  #copy(chunk: Buffer, start: number, wanted: number): number {
    const end = Math.min(chunk.length, start + wanted - this.#length)
    const needed = this.#length + end - start
    if (needed > this.#begun.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(needed, 2 * this.#begun.length), wanted))
      this.#begun.copy(larger, 0, 0, this.#length)
      this.#begun = larger
    }
    this.#length += chunk.copy(this.#begun, this.#length, start, end)
    return end
  }

  /** @returns whether the head is complete, and its message not too long. */
  #checkLength(pieces: Buffer[]): boolean {
    if (this.#length < HEAD_BYTES) return false
    if (this.#begun.readUInt32BE(LENGTH_AT) <= this.#maxBytes) return true
    pieces.push(this.#begun.subarray(0, HEAD_BYTES))
    this.#isTooLong = true
    return false
  }
}
