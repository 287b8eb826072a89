#!/usr/bin/env node
import { basename } from 'node:path'
import { keepMemoryOutOfCoreDumps } from '../core/runtime/core-dumps.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { EXIT } from './exit/exit-code.ts'
import type { Terminal } from './output/terminal.ts'
import { run } from './run.ts'

// It reads the keys of pods (`svid show`), and holds tokens of operators.
keepMemoryOutOfCoreDumps()

function terminal(stream: NodeJS.WriteStream): Terminal {
  // Whoever reads may have had enough (`| head`).
  stream.on('error', () => process.exit(EXIT.failed.code))
  const hasColour = stream.isTTY && process.env['NO_COLOR'] === undefined && process.env['TERM'] !== 'dumb'
  return { write: (text) => void stream.write(text), hasColour }
}

// kubectl runs its plugin by a file of this name; a script that runs us instead says so by node's --title.
const isPlugin = [basename(process.argv[1] ?? ''), process.title].includes('kubectl-countersign')

const code = await run(process.argv.slice(2), {
  out: terminal(process.stdout),
  err: terminal(process.stderr),
  clock: systemClock,
  ...(isPlugin && { calledAs: 'kubectl countersign' }),
})
// A connection that never came about must not hold the program up, nor what was printed be cut off.
process.stdout.write('', () => process.exit(code))
