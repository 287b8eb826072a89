import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt'
import { formatDuration } from '../../core/runtime/duration.ts'

/** RFC 3339, to the second. */
export function instant(time: Timestamp | Date | undefined): string {
  const date = dateOf(time)
  return date ? date.toISOString().replace(/\.\d+Z$/, 'Z') : ''
}

/** `in 23h59m`, `5m ago`: to the two units that matter. */
export function fromNow(time: Timestamp | Date | undefined, now: Date): string {
  const date = dateOf(time)
  if (!date) return ''
  const ms = date.getTime() - now.getTime()
  return ms >= 0 ? `in ${span(ms)}` : `${span(-ms)} ago`
}

/** A duration without what does not matter beside its largest unit. */
export function span(milliseconds: number): string {
  const unit = milliseconds >= 2 * 86_400_000 ? 3_600_000 : milliseconds >= 3_600_000 ? 60_000 : 1_000
  return formatDuration(Math.floor(milliseconds / unit) * unit)
}

/** `0.3 s`, `-1.5 s`. What rounds to nothing has no sign. */
export function seconds(milliseconds: number): string {
  const tenths = Math.round(milliseconds / 100)
  return `${(tenths === 0 ? 0 : tenths / 10).toFixed(1)} s`
}

/** Both, for people. */
export function instantAndSpan(time: Timestamp | Date | undefined, now: Date): string {
  return time ? `${instant(time)} (${fromNow(time, now)})` : ''
}

function dateOf(time: Timestamp | Date | undefined): Date | undefined {
  return time instanceof Date ? time : time && new Date(timestampMs(time))
}
