/** By how much the broker's count of a life may differ from what the certificate says by the broker's clock. */
const SKEW_MS = 60_000

/**
 * How long an SVID has left, in milliseconds. The broker counts from issuance, for clocks that disagree, but within what
 * the certificate allows: a life of nothing would be renewed without end, one of years never.
 *
 * @param now the wall clock, put right by the broker's.
 */
export function leftMs(lifetimeMs: number | undefined, notAfter: Date, now: Date): number {
  const byCertificate = notAfter.getTime() - now.getTime()
  if (lifetimeMs === undefined) return byCertificate
  return Math.min(byCertificate + SKEW_MS, Math.max(byCertificate - SKEW_MS, lifetimeMs))
}
