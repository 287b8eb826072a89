import type { Clock } from '../../core/runtime/clock.ts'
import type { ErrorCode } from '../../core/runtime/error-codes.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { Log } from '../../core/runtime/log.ts'
import type { Readers } from '../volume/readers.ts'
import { described } from '../workloads/described.ts'
import type { Delivery, PodRef, WorkloadRequest } from '../workloads/workload.ts'
import { type Declarations, readDeclarations } from './declarations.ts'
import { type DeclaredToken, readDeclaredToken } from './declared-token.ts'
import type { DeliveredNames } from './delivered-names.ts'
import { readersOf, type WorkloadDeclaration } from './workload-declaration.ts'

/** What is asked of the node's workloads. */
export interface DeclaredTarget {
  has(id: string): boolean
  add(workload: WorkloadRequest): Promise<void>
  recover(workload: WorkloadRequest): Promise<void>
  refreshToken(id: string, token: string, pod: PodRef): void
  remove(id: string): Promise<void>
}

/** A delivery that can say whether a former run has made it, and that can change hands. */
export interface DeclaredDelivery extends Delivery {
  admit(readers: Readers): Promise<void>
  exists(): Promise<boolean>
}

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

interface Known {
  readonly podUid: string | undefined
  token: string | undefined
  readonly delivery: DeclaredDelivery
  /** Whom it was opened to; unknown for what a former run made. */
  readers: Readers | undefined
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
      if (problems.length === 0 && !workloads.has(name)) await this.#removeLeftOver(name)
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
    for (const declaration of workloads.values()) {
      try {
        // First, and whatever the token is: a key that is taken from somebody is taken at once.
        await this.#admit(declaration)
        if (this.#unseen.has(declaration.name)) await this.#takeUp(declaration)
        await this.#keep(declaration, await readDeclaredToken(declaration.tokenFile))
      } catch (error) {
        troubled.set(declaration.name, `${declaration.name}: ${described(error)}`)
      }
    }
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

  async #keep(declaration: WorkloadDeclaration, { token, pod }: DeclaredToken): Promise<void> {
    const { target, deliverTo } = this.#dependencies
    const { name } = declaration
    const known = this.#known.get(name)
    // Another pod under the old name is another workload.
    if (known?.podUid !== undefined && known.podUid !== pod.podUid) await this.#remove(name)
    if (!target.has(name)) {
      const readers = readersOf(declaration)
      const delivery = deliverTo(name, readers)
      this.#known.set(name, { podUid: pod.podUid, token, delivery, readers })
      this.#add({ id: name, pod, token, delivery })
    } else if (known && known.token !== token) {
      this.#known.set(name, { ...known, podUid: pod.podUid, token })
      target.refreshToken(name, token, pod)
    }
  }

  async #admit(declaration: WorkloadDeclaration): Promise<void> {
    const known = this.#known.get(declaration.name)
    const readers = readersOf(declaration)
    if (!known || known.readers === readers || !this.#dependencies.target.has(declaration.name)) return
    await known.delivery.admit(readers)
    known.readers = readers
  }

  /** Not waited for: one that is held while the broker is away must not hold the others up. */
  #add(request: WorkloadRequest): void {
    const { target, delivered, log } = this.#dependencies
    const { id } = request
    if (this.#adding.has(id)) return
    this.#adding.add(id)
    // The name first: what has a folder without one is not found again.
    delivered
      .add(id)
      .then(() => target.add(request))
      .then(
        () => {
          this.#refused.delete(id)
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
      await this.#recoverOne(declaration)
      this.#unseen.delete(name)
    } catch (error) {
      if (error instanceof IdentityError) this.#unseen.delete(name)
      throw error
    }
  }

  async #recoverOne(declaration: WorkloadDeclaration): Promise<void> {
    const { target, deliverTo } = this.#dependencies
    const { name } = declaration
    const delivery = deliverTo(name, readersOf(declaration))
    if (!(await delivery.exists())) return delivery.close()
    // The token is read as kubelet's would come: later, and on its own. Where it cannot be read now, nothing else says which
    // pod this is: that comes with it.
    const pod = await readDeclaredToken(declaration.tokenFile).then(
      (declared) => declared.pod,
      () => ({ podUid: '', podName: name, namespace: '', serviceAccount: '' }),
    )
    await target.recover({ id: name, pod, delivery })
    const podUid = pod.podUid === '' ? undefined : pod.podUid
    this.#known.set(name, { podUid, token: undefined, delivery, readers: undefined })
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
