import { type FSWatcher, watch } from 'node:fs'
import type { Clock } from '../../core/runtime/clock.ts'
import { describeProblems, type Problem } from '../../core/runtime/config.ts'
import type { IdentityTemplate } from './identity-template.ts'
import { readTemplateFiles, type ReadTemplates, templatesInvalid } from './template-files.ts'
import type { TemplateRules } from './template-rules.ts'
import type { TemplateSource } from './template-source.ts'

/** What {@link TemplateDirectory} works with. */
export interface TemplateDirectoryOptions {
  readonly directory: string
  readonly rules: TemplateRules
  readonly clock: Clock
  /** Told of all that is wrong whenever that has changed; nothing any more is an empty list. */
  readonly onProblems: (problems: readonly Problem[]) => void
}

/** Notifications get lost (network file systems, a directory that is replaced): look again anyway. */
const LOOK_AGAIN_MS = 15_000

/**
 * The templates of a directory, one YAML object a file, read again as they change. What was good stays in force while its
 * file is broken; a new file counts once it is good.
 */
export class TemplateDirectory implements TemplateSource {
  readonly #options: TemplateDirectoryOptions
  readonly #stop = new AbortController()
  #read: ReadTemplates
  #watcher: FSWatcher | undefined
  #changed: () => void = () => {}
  #running: Promise<void> = Promise.resolve()

  private constructor(options: TemplateDirectoryOptions, read: ReadTemplates) {
    this.#options = options
    this.#read = read
  }

  /**
   * Reads the directory and follows it from then on. At the start everything must be good: were a broken template
   * ignored, pods would get an identity that nobody meant.
   *
   * @throws {@link IdentityError} `object_invalid` with one line per problem.
   */
  static async open(options: TemplateDirectoryOptions): Promise<TemplateDirectory> {
    const read = await readTemplateFiles(options.directory, options.rules)
    if (read.problems.length > 0) throw templatesInvalid(options.directory, read.problems)
    const source = new TemplateDirectory(options, read)
    source.#running = source.#follow()
    return source
  }

  current(): readonly IdentityTemplate[] {
    return this.#read.templates
  }

  /** What is wrong with the directory now. */
  get problems(): readonly Problem[] {
    return this.#read.problems
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#watcher?.close()
    await this.#running
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const changed = new Promise<void>((resolve) => (this.#changed = resolve))
      // Watched before it is read, so that nothing is missed in between.
      this.#watch()
      await this.#reload()
      const round = new AbortController()
      const stopped = () => round.abort()
      signal.addEventListener('abort', stopped, { once: true })
      if (signal.aborted) round.abort()
      const timer = this.#options.clock.sleep(LOOK_AGAIN_MS, round.signal).catch(() => {})
      await Promise.race([changed, timer])
      round.abort()
      signal.removeEventListener('abort', stopped)
    }
  }

  #watch(): void {
    if (this.#watcher || this.#stop.signal.aborted) return
    try {
      const watcher = watch(this.#options.directory, { persistent: false }, () => this.#changed())
      watcher.on('error', () => this.#unwatch(watcher))
      this.#watcher = watcher
    } catch {
      // It is not there; the timer looks again, and the reading reports it.
    }
  }

  #unwatch(watcher: FSWatcher): void {
    watcher.close()
    if (this.#watcher === watcher) this.#watcher = undefined
    this.#changed()
  }

  async #reload(): Promise<void> {
    const before = this.#read
    const { directory, rules } = this.#options
    const read = await readTemplateFiles(directory, rules, before.files)
    const same = isSame(read.templates, before.templates)
    this.#read = same ? { ...read, templates: before.templates } : read
    const [was, is] = [before.problems, read.problems].map((problems) => describeProblems('', problems))
    if (was !== is) this.#options.onProblems(read.problems)
  }
}

function isSame(one: readonly IdentityTemplate[], other: readonly IdentityTemplate[]): boolean {
  return one.length === other.length && one.every((template, index) => template === other[index])
}
