import type { CheckResult } from '../../cli/checks/run-checks.ts'
import type { Step } from '../../cli/explain/explanation.ts'
import { waitFor } from '../cluster/base/wait.ts'
import { type CliEnd, runCli } from '../fakes/run-cli.ts'

/** What `countersign check` says, by the id of the check. */
export interface Checked {
  readonly code: number
  readonly text: string
  of(id: string): CheckResult
  readonly failed: readonly string[]
}

/** What `countersign explain pod` says. */
export interface Explained {
  readonly code: number
  readonly hasIdentity: boolean
  readonly summary: string
  readonly steps: readonly Step[]
  /** Everything that did not go well, in words. */
  readonly trouble: string
}

/** The `countersign` command, asked by tests. */
export class Diagnosis {
  readonly #kubeconfig: string
  readonly #flags: () => readonly string[]

  /** @param flags for every command line; none where the command is to find everything by itself. */
  constructor(kubeconfig: string, flags: () => readonly string[] = () => []) {
    this.#kubeconfig = kubeconfig
    this.#flags = flags
  }

  /** Runs the command as an administrator. */
  run(...args: readonly string[]): Promise<CliEnd> {
    return runCli(['--kubeconfig', this.#kubeconfig, ...this.#flags(), ...args])
  }

  async check(...args: readonly string[]): Promise<Checked> {
    const { code, out, err } = await this.run('--json', '--request-timeout', '5s', 'check', ...args)
    if (out === '') throw new Error(`check said nothing but: ${err}`)
    const { checks } = JSON.parse(out) as { checks: CheckResult[] }
    return {
      code,
      text: out,
      of(id) {
        const found = checks.find((check) => check.id === id)
        if (!found) throw new Error(`there is no check ${id}`)
        return found
      },
      failed: checks.filter(({ outcome }) => outcome === 'fail').map(({ id }) => id),
    }
  }

  /** Looks until the check `id` says all of `words`. */
  async checkSays(id: string, ...words: readonly string[]): Promise<CheckResult> {
    let last = ''
    return waitFor(
      `check ${id} to say ${words.join(', ')}`,
      async () => {
        const result = (await this.check()).of(id)
        last = JSON.stringify(result)
        if (words.every((word) => last.includes(word))) return result
        throw new Error(last)
      },
      { interval: 1_000, timeout: 90_000 },
    )
  }

  async explain(namespace: string, name: string): Promise<Explained> {
    const { code, out, err } = await this.run('--json', '-n', namespace, 'explain', 'pod', name)
    if (out === '') throw new Error(`explain said nothing but: ${err}`)
    const explanation = JSON.parse(out) as Omit<Explained, 'code' | 'trouble'>
    const trouble = explanation.steps
      .filter(({ outcome }) => outcome === 'fail' || outcome === 'warn')
      .map(({ name, found, code, remedy }) => [name, code, found, remedy].join(' | '))
    return { ...explanation, code, trouble: trouble.join('\n') }
  }

  /** Explains until the trouble has all of `words`. */
  async explanationSays(namespace: string, name: string, ...words: readonly string[]): Promise<Explained> {
    return waitFor(
      `explain pod ${name} to say ${words.join(', ')}`,
      async () => {
        const explained = await this.explain(namespace, name)
        if (words.every((word) => explained.trouble.includes(word))) return explained
        throw new Error(`${explained.summary}\n${explained.trouble}`)
      },
      { interval: 1_000, timeout: 90_000 },
    )
  }
}
