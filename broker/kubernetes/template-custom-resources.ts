import type { Clock } from '../../core/runtime/clock.ts'
import type { Problem } from '../../core/runtime/config.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import type { IdentityTemplate } from '../registration/identity-template.ts'
import type { TemplateRules } from '../registration/template-rules.ts'
import type { TemplateSource, TemplateState } from '../registration/template-source.ts'
import type { ApiConnection } from './api-connection.ts'
import { type KeptTemplate, readTemplateObject } from './template-objects.ts'
import { WatchedList } from './watched-list.ts'

export const TEMPLATES_PATH = '/apis/countersign.dev/v1alpha1/identitytemplates'

/** What {@link TemplateCustomResources} works with. */
export interface TemplateCustomResourcesOptions {
  readonly api: ApiConnection
  readonly clock: Clock
  readonly random: Random
  readonly rules: TemplateRules
  /** Told after every change, status included. Must not throw. */
  readonly onChange: () => void
  /** Told why the templates are not up to date, and `undefined` once they are again. */
  readonly onTrouble: (trouble: IdentityError | undefined) => void
}

/** A template takes some hundred bytes; ten thousand are more than anybody can oversee. */
const LIMITS = { pageSize: 500, maxItems: 20_000 }

/**
 * The IdentityTemplates of the API server, followed. What was read once stays in force while the API server is away, and
 * the last good version of an object while a newer one is wrong.
 */
export class TemplateCustomResources implements TemplateSource {
  readonly #list: WatchedList<KeptTemplate>
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  #current: readonly IdentityTemplate[] = []
  #changed = true
  #trouble: IdentityError | undefined
  #states: ReadonlyMap<string, TemplateState> = new Map()

  constructor({ api, clock, random, rules, onChange, onTrouble }: TemplateCustomResourcesOptions) {
    this.#list = new WatchedList<KeptTemplate>(
      { api, clock, random },
      {
        ...LIMITS,
        path: TEMPLATES_PATH,
        transform: (object) => readTemplateObject(object, this.#list.items.get(object.metadata.name), rules),
        onChange: () => {
          this.#changed = true
          onChange()
        },
        onTrouble: (trouble) => {
          this.#trouble = trouble
          onTrouble(trouble)
        },
      },
    )
    this.#running = this.#list.run(this.#stop.signal)
  }

  current(): readonly IdentityTemplate[] {
    if (!this.#list.hasSynced) {
      throw new IdentityError('kubernetes_unavailable', NOT_READ, { retryAfterMs: 1000, cause: this.#trouble })
    }
    if (this.#changed) {
      this.#changed = false
      const all = Array.from(this.#list.items.values(), ({ template }) => template)
      const same = all.length === this.#current.length && all.every((one, index) => one === this.#current[index])
      if (!same) this.#current = all
    }
    return this.#current
  }

  /** Why nobody is served: for readiness. Once read, always served. */
  notReady(): string | undefined {
    if (this.#list.hasSynced) return undefined
    return this.#trouble ? `${NOT_READ}: ${this.#trouble.message}` : NOT_READ
  }

  /** All that is wrong with the objects. */
  get problems(): readonly Problem[] {
    return this.objects.flatMap(({ name, problems }) =>
      problems.map(({ path, message }) => ({ path: path === '' ? name : `${name}: ${path}`, message })),
    )
  }

  /** The objects as they were read last. */
  get objects(): readonly KeptTemplate[] {
    return [...this.#list.items.values()]
  }

  readonly statuses = (): readonly TemplateState[] => [...this.#states.values()]

  /** What they have come to, by whoever has found it out. */
  reviewed(states: readonly TemplateState[]): void {
    this.#states = new Map(states.map((state) => [state.name, state]))
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }
}

const NOT_READ = 'the IdentityTemplates have not been read from the API server yet'
