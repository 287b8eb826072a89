import { IdentityError } from '../../core/runtime/errors.ts'
import type { Labels } from './pod-facts.ts'

/** Of one object. Kubernetes bounds each label, but not how many there are: whoever may write a pod may write a megabyte. */
const MAX_BYTES = 32 * 1024
/** What a label takes in memory beside its text. */
const LABEL_BYTES = 64

/**
 * The labels of an object of the API server; `undefined` where there are more than are read. Some of them would be worse
 * than none: a selector holds for what lacks the label that it excludes.
 */
export function readLabels(raw: unknown): Labels | undefined {
  const labels = new Map<string, string>()
  let bytes = 0
  for (const [name, value] of Object.entries(raw ?? {}) as [string, unknown][]) {
    if (typeof value !== 'string') continue
    bytes += bytesOf(name, value)
    if (bytes > MAX_BYTES) return undefined
    labels.set(name, value)
  }
  return labels
}

/** About what they take in memory. */
export function bytesOfLabels(labels: Labels | undefined): number {
  return [...(labels ?? [])].reduce((sum, [name, value]) => sum + bytesOf(name, value), 0)
}

/** @throws {@link IdentityError} `template_unrenderable` if there are more labels than are read. */
export function labelsOr(labels: Labels | undefined, whose: 'pod' | 'namespace'): Labels {
  if (labels) return labels
  throw new IdentityError(
    'template_unrenderable',
    `a template asks for labels, and the ${whose} has more than are read: 32 KiB, with 64 bytes for each beside its text`,
  )
}

function bytesOf(name: string, value: string): number {
  return LABEL_BYTES + name.length + value.length
}
