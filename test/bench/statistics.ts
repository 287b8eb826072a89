export function sorted(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b)
}

/** The nearest-rank percentile; NaN of nothing. */
export function percentile(values: readonly number[], p: number): number {
  const inOrder = sorted(values)
  return inOrder[Math.max(0, Math.ceil((p / 100) * inOrder.length) - 1)] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

/** Text of a number with `digits` after the point. */
export function fixed(value: number, digits = 1): string {
  return value.toFixed(digits)
}
