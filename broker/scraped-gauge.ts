/** A gauge that asks when it is scraped. */
export function gauge(metric: { set(value: number): void }, value: () => number): void {
  Object.assign(metric, { collect: () => metric.set(value()) })
}
