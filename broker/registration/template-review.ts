import { describeProblem, type Problem } from '../../core/runtime/config.ts'
import type { IdentityTemplate } from './identity-template.ts'
import type { Labels } from './pod-facts.ts'
import { TemplateIndex, whyNotSelected } from './template-selection.ts'
import type { TemplateState } from './template-source.ts'

/** An object as it was read, and what is in force of it. */
export interface TemplateObject {
  readonly name: string
  readonly generation: number
  /** This version, the last good one, or one that only claims its pods. */
  readonly template: IdentityTemplate
  /** What is wrong with this version. */
  readonly problems: readonly Problem[]
}

/** A pod with a volume of ours. */
export interface ServedPod {
  readonly namespace: string
  readonly name: string
  readonly serviceAccount: string
  /** `undefined`: more than are read, so that a template that asks for them refuses the pod. */
  readonly labels: Labels | undefined
}

/** What is known of the cluster; `undefined` where it may not be seen. */
export interface SeenPods {
  readonly pods: Iterable<ServedPod>
  /** `undefined`: not known, or more than are read. */
  readonly namespaceLabels: (namespace: string) => Labels | undefined
}

interface Tally {
  pods: number
  readonly accounts: Set<string>
  conflicts: number
  conflict: { readonly pod: ServedPod; readonly other: string } | undefined
}

const MAX_ACCOUNTS = 20
const MAX_MESSAGE = 2_000
/** Comparisons between two breaths. */
const BREATH = 2_000
const NO_LABELS: Labels = new Map()

/**
 * What each template has come to: a generator that yields now and then, since ten thousand templates and pods are a
 * hundred million comparisons, and whoever drives it lets other work in between.
 */
export function* reviewTemplates(
  objects: readonly TemplateObject[],
  seen: SeenPods | undefined,
): Generator<undefined, readonly TemplateState[]> {
  const tallies = new Map<string, Tally>()
  if (seen) yield* tally(objects, seen, tallies)
  return objects.map((object) => stateOf(object, seen && tallyOf(tallies, object.name)))
}

function* tally(
  objects: readonly TemplateObject[],
  { pods, namespaceLabels }: SeenPods,
  tallies: Map<string, Tally>,
): Generator<undefined> {
  const index = TemplateIndex.of(objects.map(({ template }) => template))
  let work = 0
  for (const pod of pods) {
    const selecting: IdentityTemplate[] = []
    let isKnown = true
    const known = (labels: Labels | undefined) => {
      isKnown &&= labels !== undefined
      return labels ?? NO_LABELS
    }
    const labels = { pod: () => known(pod.labels), namespace: () => known(namespaceLabels(pod.namespace)) }
    for (const template of index.candidates(pod)) {
      if ((work += 1) % BREATH === 0) yield
      if (whyNotSelected(template, pod, labels) === undefined) selecting.push(template)
    }
    // What a template asks for and nobody knows refuses the pod, whatever the others say.
    if (!isKnown) continue
    for (const { name } of selecting) {
      const mine = tallyOf(tallies, name)
      const other = selecting.find((one) => one.name !== name)
      if (other) {
        mine.conflicts += 1
        mine.conflict ??= { pod, other: other.name }
        continue
      }
      mine.pods += 1
      if (mine.accounts.size < MAX_ACCOUNTS) mine.accounts.add(`${pod.namespace}/${pod.serviceAccount}`)
    }
  }
}

function tallyOf(tallies: Map<string, Tally>, name: string): Tally {
  const known = tallies.get(name)
  if (known) return known
  const made: Tally = { pods: 0, accounts: new Set(), conflicts: 0, conflict: undefined }
  tallies.set(name, made)
  return made
}

/** What is wrong is said first, and what matters more before what matters less. */
function stateOf({ name, generation, template, problems }: TemplateObject, mine: Tally | undefined): TemplateState {
  const serves = mine && { pods: mine.pods, serviceAccounts: [...mine.accounts].toSorted() }
  const state = (ready: boolean, reason: string, message: string): TemplateState => ({
    ...{ name, generation, ready, reason, serves },
    message: message.slice(0, MAX_MESSAGE),
  })
  if (problems.length > 0) {
    const after =
      template.unusable === undefined
        ? 'The last good version stays in force until this is corrected.'
        : 'Pods that it selects are refused until this is corrected.'
    return state(false, 'Invalid', `${problems.map(describeProblem).join('; ')}. ${after}`)
  }
  if (mine?.conflict) {
    const { pod, other } = mine.conflict
    return state(
      false,
      'Conflict',
      `IdentityTemplate ${other} selects pod ${pod.namespace}/${pod.name}, too: ${countOf(mine.conflicts)} refused. ` +
        'Narrow the selectors of one of them.',
    )
  }
  if (!mine) return state(true, 'Valid', 'In force. Which pods it serves is not known: the broker does not see them.')
  if (mine.pods === 0)
    return state(true, 'NoMatch', 'In force; no pod with a volume of csi.countersign.dev is selected.')
  return state(true, 'Valid', `In force for ${mine.pods} ${mine.pods === 1 ? 'pod' : 'pods'}.`)
}

function countOf(pods: number): string {
  return pods === 1 ? 'it is' : `it and ${pods - 1} more are`
}
