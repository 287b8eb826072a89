/** What a program says at `/metrics`. */
export class Scrape {
  readonly #samples: readonly { readonly name: string; readonly labels: string; readonly value: number }[]

  constructor(text: string) {
    this.#samples = Array.from(
      text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm),
      ([, name = '', labels = '', value = '']) => ({ name, labels, value: Number(value) }),
    )
  }

  /** The sum of all samples of the metric that have these labels; 0 without any. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`)
    return this.#samples
      .filter((sample) => sample.name === name && wanted.every((label) => sample.labels.split(',').includes(label)))
      .reduce((total, { value }) => total + value, 0)
  }

  /** A quantile of a histogram, as Prometheus reckons it: evenly spread within a bucket. In seconds. */
  quantile(name: string, quantile: number): number {
    const buckets = this.#samples
      .filter((sample) => sample.name === `${name}_bucket`)
      .map(({ labels, value }) => ({
        most: Number(/le="([^"]*)"/.exec(labels)?.[1]?.replace('+Inf', 'Infinity')),
        value,
      }))
      .sort((one, other) => one.most - other.most)
    const rank = quantile * (buckets.at(-1)?.value ?? 0)
    const index = buckets.findIndex(({ value }) => value >= rank)
    const { most = NaN, value = NaN } = buckets[index] ?? {}
    const { most: least, value: before } = buckets[index - 1] ?? { most: 0, value: 0 }
    return Number.isFinite(most) ? least + ((most - least) * (rank - before)) / Math.max(1, value - before) : least
  }
}

/** Asks the operations server on this machine's loopback. */
export async function scrape(port: number): Promise<Scrape> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(5_000) })
  return new Scrape(await response.text())
}
