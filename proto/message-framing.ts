/** Octets before each message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const HEAD_BYTES = 5

/** Follows the messages in what comes on a stream, however it is cut into pieces. */
export class MessageFraming {
  #headRead = 0
  #left = 0
  #ended = 0

  /** How many messages have ended. */
  get ended(): number {
    return this.#ended
  }

  /** @returns behind which octet of `chunk`, from `start` on, the `most`-th message ends; its length, where fewer end. */
  end(chunk: Uint8Array, start: number, most: number): number {
    const last = this.#ended + most
    for (let at = start; at < chunk.length;) {
      if (this.#headRead < HEAD_BYTES) {
        // The first octet says nothing of the length; the others are of a 32-bit number.
        if (this.#headRead > 0) this.#left = this.#left * 256 + (chunk[at] ?? 0)
        this.#headRead += 1
        at += 1
      } else {
        const taken = Math.min(this.#left, chunk.length - at)
        this.#left -= taken
        at += taken
      }
      if (this.#headRead < HEAD_BYTES || this.#left > 0) continue
      this.#headRead = 0
      this.#ended += 1
      if (this.#ended === last) return at
    }
    return chunk.length
  }
}
