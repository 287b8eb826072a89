/** How many nodes are remembered; a cluster has 5,000 by Kubernetes' own limits. */
const MAX_NODES = 100_000

/** Which revision of one kind each node has enforced. */
export class Acknowledgements {
  readonly #revisions = new Map<string, bigint>()

  /** A later one stands for all before it; an earlier one changes nothing. */
  acknowledge(nodeName: string, revision: bigint): void {
    const known = this.#revisions.get(nodeName)
    if (known !== undefined && known >= revision) return
    // The one heard of longest ago goes first: what is re-inserted counts as new.
    this.#revisions.delete(nodeName)
    if (this.#revisions.size >= MAX_NODES) {
      const [oldest] = this.#revisions.keys()
      if (oldest !== undefined) this.#revisions.delete(oldest)
    }
    this.#revisions.set(nodeName, revision)
  }

  forget(nodeName: string): void {
    this.#revisions.delete(nodeName)
  }

  of(nodeName: string): bigint {
    return this.#revisions.get(nodeName) ?? 0n
  }

  /** Those of `nodeNames` that have not enforced `revision` yet. */
  missing(nodeNames: Iterable<string>, revision: bigint): string[] {
    return [...new Set(nodeNames)].filter((nodeName) => this.of(nodeName) < revision)
  }
}
