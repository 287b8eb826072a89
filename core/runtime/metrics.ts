import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** A metric as a row of a program's table; `docs/metrics.md` is made from these. */
export interface MetricRow {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Label names; their values are from small closed sets, never pods, volumes or serial numbers. */
  readonly labels?: readonly string[]
  /** Upper bounds of a histogram's buckets, in the unit that the name ends in. */
  readonly buckets?: readonly number[]
}

export type MetricTable = Readonly<Record<string, MetricRow>>

/** The metrics of `T` by name, typed by their kind. */
export type Metrics<T extends MetricTable> = {
  readonly [K in keyof T]: T[K]['kind'] extends 'counter' ? Counter : T[K]['kind'] extends 'gauge' ? Gauge : Histogram
}

/** Registers every metric of `table`; the registry answers `/metrics`. */
export function createMetrics<T extends MetricTable>(table: T): { metrics: Metrics<T>; registry: Registry } {
  const registry = new Registry()
  const entries = Object.entries(table).map(([name, { kind, help, labels = [], buckets }]) => {
    const options = { name, help, labelNames: [...labels], registers: [registry] }
    if (kind === 'counter') return [name, new Counter(options)]
    if (kind === 'gauge') return [name, new Gauge(options)]
    return [name, new Histogram({ ...options, ...(buckets && { buckets: [...buckets] }) })]
  })
  return { metrics: Object.fromEntries(entries) as Metrics<T>, registry }
}
