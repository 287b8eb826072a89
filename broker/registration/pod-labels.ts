import { IdentityError } from '../../core/runtime/errors.ts'
import type { Labels, PodFacts, PodName } from './pod-facts.ts'

/** The labels of one pod and of its namespace, looked up at most once each and only when they are asked for. */
export class PodLabels {
  readonly #facts: PodFacts | undefined
  readonly #pod: PodName
  readonly #signal: AbortSignal
  #ofPod: Promise<Labels> | undefined
  #ofNamespace: Promise<Labels> | undefined

  constructor(facts: PodFacts | undefined, pod: PodName, signal: AbortSignal) {
    this.#facts = facts
    this.#pod = pod
    this.#signal = signal
  }

  ofPod(): Promise<Labels> {
    return (this.#ofPod ??= this.#known().podLabels(this.#pod, this.#signal))
  }

  ofNamespace(): Promise<Labels> {
    return (this.#ofNamespace ??= this.#known().namespaceLabels(this.#pod.namespace, this.#signal))
  }

  /** Not knowing labels is not having none: a selector could be missed, or matched, that should not be. */
  #known(): PodFacts {
    if (this.#facts) return this.#facts
    throw new IdentityError(
      'template_unrenderable',
      'a template asks for labels, and there is no API server that knows them',
    )
  }
}
