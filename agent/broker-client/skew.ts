/**
 * By how much the broker's clock is ahead of ours, in milliseconds: its reading against the middle of the time that the
 * call took, so the error is at most half of that.
 */
export function skewMs(serverTimeMs: number, askedAtMs: number, answeredAtMs: number): number {
  return serverTimeMs - (askedAtMs + answeredAtMs) / 2
}
