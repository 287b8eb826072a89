import type { Clock } from '../../core/runtime/clock.ts'
import { ERROR_CODES, type ErrorCode } from '../../core/runtime/error-codes.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { Log } from '../../core/runtime/log.ts'
import type { Readers } from '../volume/readers.ts'
import { described } from '../workloads/described.ts'
import type { PodRef, WorkloadRequest } from '../workloads/workload.ts'
import { type Declarations, readDeclarations } from './declarations.ts'
import { type DeclaredToken, readDeclaredToken } from './declared-token.ts'
import type { DeliveredNames } from './delivered-names.ts'
import { mustGo } from './held-files.ts'
import { sharedPods } from './shared-pods.ts'
import { type DeclaredDelivery, type DeclaredTarget, type Known, takeUp } from './take-up.ts'
import { mismatch, readersOf, type WorkloadDeclaration } from './workload-declaration.ts'

interface Dependencies {
  readonly target: DeclaredTarget
  readonly deliverTo: (name: string, readers: Readers) => DeclaredDelivery
  readonly delivered: DeliveredNames
  readonly clock: Clock
  readonly log: Log
}

interface Options {
  /** The folder of declarations. */
  readonly directory: string
  /** How often it, and the tokens, are read again. */
  readonly rereadMs: number
}

/** Serves what a folder declares, in place of kubelet: who is new is added, who is declared no more is removed. */
export class DeclaredWorkloads {
  readonly #options: Options
  readonly #dependencies: Dependencies
  readonly #known = new Map<string, Known>()
  readonly #adding = new Set<string>()
  /** What a former run may have delivered and could not be looked at yet. Added, it would be emptied by a refusal. */
  readonly #unseen = new Set<string>()
  /** The code that each was refused with last, until it is served. */
  readonly #refused = new Map<string, ErrorCode>()
  readonly #stopping = new AbortController()
  #problems: readonly string[] = []
  /** Those of the problems that are a workload's, by its name. */
  #troubled: ReadonlySet<string> = new Set()
  #loop: Promise<void> | undefined

  constructor(options: Options, dependencies: Dependencies) {
    this.#options = options
    this.#dependencies = dependencies
  }

  /** What is wrong with the declarations now, one text each. */
  get problems(): readonly string[] {
    return this.#problems
  }

  /** How many declarations cannot be read, or are of a workload that cannot be served as declared. */
  get unserved(): number {
    const ofFiles = this.#problems.length - this.#troubled.size
    return ofFiles + new Set([...this.#troubled, ...this.#refused.keys()]).size
  }

  /** Takes up what a former run has delivered, without tokens; what is declared no more is removed. */
  async recover(): Promise<void> {
    const { workloads, problems } = await readDeclarations(this.#options.directory)
    for (const name of await this.#dependencies.delivered.read()) {
      if (workloads.has(name)) continue
      if (problems.length === 0) await this.#removeLeftOver(name)
      else this.#unseen.add(name)
    }
    for (const declaration of workloads.values()) {
      try {
        await this.#takeUp(declaration)
      } catch (error) {
        this.#dependencies.log.warn({ workload: declaration.name, code: codeOf(error) }, 'a workload was not recovered')
      }
    }
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await this.#reread(await readDeclarations(this.#options.directory))
      await this.#dependencies.clock.sleep(this.#options.rereadMs, signal).catch(() => {})
    }
  }

  async #reread({ workloads, problems }: Declarations): Promise<void> {
    const troubled = new Map<string, string>()
    const forEach = async (act: (declaration: WorkloadDeclaration) => Promise<void>) => {
      for (const declaration of workloads.values()) {
        const { name } = declaration
        if (!troubled.has(name)) {
          await act(declaration).catch((error: unknown) => troubled.set(name, `${name}: ${described(error)}`))
        }
      }
    }
    const tokens = new Map<string, DeclaredToken>()
    await forEach(async (declaration) => {
      // First, and whatever the token is: a key that is taken from somebody is taken at once.
      await this.#narrow(declaration)
      if (this.#unseen.has(declaration.name)) await this.#takeUp(declaration)
      tokens.set(declaration.name, await readDeclaredToken(declaration.tokenFile))
    })
    const pods = new Map(Array.from(workloads.values(), (each) => [each.name, this.#podOf(each, tokens)]))
    const shared = sharedPods(pods, (name) => this.#isBelieved(name))
    await forEach(async (declaration) => {
      const token = tokens.get(declaration.name)
      if (token) await this.#keep(declaration, token, shared.get(declaration.name))
    })
    // A file that cannot be read may declare any of them.
    if (problems.length === 0) {
      for (const id of this.#known.keys()) if (!workloads.has(id)) await this.#remove(id)
      for (const id of this.#unseen) {
        if (!workloads.has(id) && this.#unseen.delete(id)) await this.#removeLeftOver(id)
      }
    }
    this.#report([...problems, ...troubled.values()])
    this.#troubled = new Set(troubled.keys())
  }

  /** Whose a workload is by its token, or else by its files. A token that is not the declared one names nobody. */
  #podOf(declaration: WorkloadDeclaration, tokens: ReadonlyMap<string, DeclaredToken>): string | undefined {
    const pod = tokens.get(declaration.name)?.pod
    return pod && !mismatch(declaration, pod) ? pod.podUid : this.#known.get(declaration.name)?.podUid
  }

  /** Anybody may write a token that names a pod: one that the broker refused takes it from nobody, but whoever was served. */
  #isBelieved(name: string): boolean {
    const refused = this.#refused.get(name)
    if (refused === undefined || this.#known.get(name)?.isServed === true) return true
    return ERROR_CODES[refused].status !== 'UNAUTHENTICATED'
  }

  /** @param others those whose tokens name the same pod. */
  async #keep(
    declaration: WorkloadDeclaration,
    { token, pod }: DeclaredToken,
    others: readonly string[] | undefined,
  ): Promise<void> {
    const { target } = this.#dependencies
    const { name } = declaration
    const known = this.#known.get(name)
    // Who alone was served as the pod keeps it, or whoever gets at its token could stop its renewals.
    const has = (each: string) => {
      const held = this.#known.get(each)
      return held?.isServed === true && held.podUid === pod.podUid
    }
    if (others && (!has(name) || others.some(has))) throw podIsShared(others)
    const wrong = mismatch(declaration, pod)
    const named = { podUid: pod.podUid, isDeclared: wrong === undefined }
    const sameReaders = known?.readers === readersOf(declaration)
    // What is served without being known is what could not be removed before.
    if (known ? mustGo(known.podUid, named, { sameReaders }) : target.has(name)) await this.#remove(name)
    if (wrong) throw wrong
    if (!target.has(name)) await this.#begin(declaration, pod, token)
    else this.#goOn(name, pod, token)
    if (others) throw podIsShared(others)
  }

  async #begin(declaration: WorkloadDeclaration, pod: PodRef, token: string): Promise<void> {
    const { name } = declaration
    if (this.#adding.has(name)) return
    const { deliverTo, delivered } = this.#dependencies
    const recorded = delivered.podOf(name)
    // Else what could not be looked at would be written down as this pod's.
    if (recorded !== undefined && recorded !== pod.podUid) await this.#clear(name)
    const readers = readersOf(declaration)
    const delivery = deliverTo(name, readers)
    this.#known.set(name, { podUid: pod.podUid, token, delivery, readers, isServed: false })
    this.#add({ id: name, pod, token, delivery })
  }

  #goOn(name: string, pod: PodRef, token: string): void {
    const known = this.#known.get(name)
    if (!known || known.token === token) return
    known.podUid = pod.podUid
    known.token = token
    this.#dependencies.target.refreshToken(name, token, pod)
  }

  /** Takes it from those who have it and no longer shall. To others nothing is handed: `mustGo`. */
  async #narrow(declaration: WorkloadDeclaration): Promise<void> {
    const known = this.#known.get(declaration.name)
    if (!known || known.readers === readersOf(declaration) || known.readers === 'owner') return
    if (!this.#dependencies.target.has(declaration.name)) return
    known.readers = undefined
    await known.delivery.shut()
    known.readers = 'owner'
  }

  /** @throws what cannot be looked at or removed. */
  async #clear(name: string): Promise<void> {
    const left = this.#dependencies.deliverTo(name, 'owner')
    try {
      if (await left.exists()) await left.remove()
    } finally {
      await left.close().catch(() => {})
    }
  }

  /** Not waited for: one that is held while the broker is away must not hold the others up. */
  #add(request: WorkloadRequest): void {
    const { target, delivered, log } = this.#dependencies
    const { id, pod } = request
    this.#adding.add(id)
    // The name first: what has a folder without one is not found again.
    delivered
      .add(id, pod.podUid)
      .then(() => target.add(request))
      .then(
        () => {
          this.#refused.delete(id)
          const known = this.#known.get(id)
          if (known && known.delivery === request.delivery) known.isServed = true
          log.info({ workload: id }, 'a declared workload has its identity')
        },
        (error: unknown) => {
          const code = codeOf(error)
          // It is tried again with every reading: told once for each reason.
          const level = this.#refused.get(id) === code ? 'debug' : 'warn'
          this.#refused.set(id, code)
          log[level]({ workload: id, code, err: error }, 'a workload has no identity yet')
        },
      )
      .finally(() => this.#adding.delete(id))
  }

  /** What the agent refuses is for good, and made anew; any other trouble passes. */
  async #takeUp(declaration: WorkloadDeclaration): Promise<void> {
    const { name } = declaration
    this.#unseen.add(name)
    try {
      const known = await takeUp(declaration, this.#dependencies)
      if (known) this.#known.set(name, known)
      this.#unseen.delete(name)
    } catch (error) {
      if (error instanceof IdentityError) this.#unseen.delete(name)
      throw error
    }
  }

  #remove(id: string): Promise<void> {
    this.#known.delete(id)
    this.#refused.delete(id)
    return this.#end(id, () => this.#dependencies.target.remove(id))
  }

  #removeLeftOver(name: string): Promise<void> {
    return this.#end(name, () => this.#dependencies.deliverTo(name, 'owner').remove())
  }

  /** Never fails: one workload's trouble is not another's. Its name stays until its folder is gone. */
  async #end(id: string, remove: () => Promise<void>): Promise<void> {
    const { delivered, log } = this.#dependencies
    try {
      await remove()
      await delivered.delete(id)
      log.info({ workload: id }, 'a workload is declared no more')
    } catch (error) {
      log.error({ workload: id, code: codeOf(error), err: error }, 'a workload was not removed')
    }
  }

  #report(problems: readonly string[]): void {
    if (problems.length > 0 && problems.join() !== this.#problems.join())
      this.#dependencies.log.warn({ problems }, 'some declarations are not served')
    this.#problems = problems
  }
}

/** Others that are named, of any number that there may be. */
const MAX_NAMED = 3

function podIsShared(others: readonly string[]): IdentityError {
  const more = others.length > MAX_NAMED ? ` and ${others.length - MAX_NAMED} more` : ''
  const names = others.slice(0, MAX_NAMED).join(', ')
  return new IdentityError('config_invalid', `its token names the same pod as that of ${names}${more}`)
}
