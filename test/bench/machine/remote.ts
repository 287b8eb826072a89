import { type ChildProcess, fork } from 'node:child_process'
import { pin } from './cores.ts'

interface Request {
  readonly id: number
  readonly command: string
  readonly argument: unknown
}
type Reply = { readonly id: number } & ({ readonly result: unknown } | { readonly error: string })

/** What a program that is measured with can be asked, by name. */
export type Commands = Readonly<Record<string, (argument: never) => unknown>>

type Asked<C extends Commands, K extends keyof C> = Parameters<C[K]>[0]
type Answered<C extends Commands, K extends keyof C> = Awaited<ReturnType<C[K]>>

/** A program of the benchmark in a process of its own, so that it does not share what it measures. */
export class Remote<C extends Commands> {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  #count = 0

  constructor(program: string, { core, nodeArgs = [] }: { core: number; nodeArgs?: readonly string[] }) {
    this.#child = fork(program, { execArgv: [...nodeArgs], serialization: 'advanced' })
    pin(this.pid, core)
    this.#child.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id)
      this.#waiting.delete(reply.id)
      if ('error' in reply) waiting?.reject(new Error(reply.error))
      else waiting?.resolve(reply.result)
    })
    this.#child.once('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${program} ended with ${code}`))
    })
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  ask<K extends keyof C & string>(command: K, argument: Asked<C, K>): Promise<Answered<C, K>> {
    this.#count += 1
    const request: Request = { id: this.#count, command, argument }
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.id, { resolve: (value) => resolve(value as Answered<C, K>), reject })
      this.#child.send(request)
    })
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}

/** The other side: answers until the benchmark goes away. */
export function serveCommands(commands: Commands): void {
  process.on('message', ({ id, command, argument }: Request) => {
    const run = async () => commands[command]?.(argument as never)
    run().then(
      (result) => process.send?.({ id, result }),
      (error: unknown) =>
        process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
  process.once('disconnect', () => process.exit(0))
}
