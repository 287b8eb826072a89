import { readTemplateObject } from '../../broker/kubernetes/template-objects.ts'
import { type ApiObject, keyOf, readWatchEvent } from '../../broker/kubernetes/watch-events.ts'
import { readPod } from '../../broker/kubernetes/watched-pods.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { defineTarget, property } from './harness.ts'
import type { Rng } from './rng.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'

const OBJECT = {
  apiVersion: 'countersign.dev/v1alpha1',
  kind: 'IdentityTemplate',
  metadata: { name: 'web', namespace: 'shop', uid: 'u', generation: 3, resourceVersion: '17', labels: { app: 'web' } },
  spec: {
    serviceAccounts: ['shop/cart'],
    podSelector: { matchLabels: { app: 'web' } },
    spiffeId: 'spiffe://{{ trustDomain }}/{{ namespace }}',
    ttl: '30m',
    volumes: [{ name: 'id', csi: { driver: 'csi.countersign.dev' } }],
  },
  status: { observedGeneration: 2, conditions: [] },
}
const TYPES = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR', 'added', '', null, 7]
const VALUES: readonly unknown[] = [
  null,
  '',
  0,
  -1,
  true,
  [],
  {},
  [null],
  'x',
  ['x'],
  { x: null },
  '{{',
  'a'.repeat(5000),
]
const RULES = {
  trustDomain: TrustDomain.parse('prod.example'),
  minTtlMs: 300_000,
  maxTtlMs: 86_400_000,
  knowsLabels: true,
}

/** Lines of a watch, and what is kept of the objects in them. */
export const target = defineTarget<string>({
  name: 'watch-event',
  generate(rng) {
    const object = structuredClone<Record<string, unknown>>(OBJECT)
    for (const value of rng.list(0, 3, () => rng.pick(VALUES))) bend(object, structuredClone(value), rng)
    const line = JSON.stringify({ type: rng.oneIn(4) ? rng.pick(TYPES) : 'MODIFIED', object })
    return rng.oneIn(8) ? line.slice(0, rng.below(line.length + 1)) : line
  },
  run: (line) => check(line, readWatchEvent),
  plantedFault: {
    description: 'objects are believed to have a name',
    run: (line) => check(line, believing),
  },
})

function check(line: string, read: typeof readWatchEvent): void {
  const event = read(line)
  if (event.type === 'garbage') throw new IdentityError('kubernetes_unavailable', 'no event of a watch')
  if (event.type !== 'put' && event.type !== 'removed') return
  const { object } = event
  property(typeof object.metadata.name === 'string' && object.metadata.name !== '', 'an object has no name')
  property(keyOf(object).endsWith(object.metadata.name), 'an object is kept under another name')
  const kept = readTemplateObject(object, undefined, RULES)
  property(
    kept.problems.length > 0 === (kept.template.unusable !== undefined),
    'an object is in force though it is wrong, or is not though it is right',
  )
  const pod = readPod(object)
  // Of too many, none is known.
  property(pod?.labels === undefined || pod.labels instanceof Map, 'the labels of a pod are none')
}

/** Puts `value` somewhere into the object. */
function bend(object: Record<string, unknown>, value: unknown, rng: Rng): void {
  let at: Record<string, unknown> = object
  for (;;) {
    const key = rng.pick(Object.keys(at))
    const below = at[key]
    if (rng.oneIn(3) || typeof below !== 'object' || below === null || Object.keys(below).length === 0) {
      at[key] = value
      return
    }
    at = below as Record<string, unknown>
  }
}

function believing(line: string): ReturnType<typeof readWatchEvent> {
  const { object } = JSON.parse(line) as { object: ApiObject }
  return { type: 'put', object, version: '1' }
}
