#!/usr/bin/env node
import { systemClock } from '../core/runtime/system-clock.ts'
import type { Terminal } from './output/terminal.ts'
import { run } from './run.ts'

function terminal(stream: NodeJS.WriteStream): Terminal {
  const hasColour = stream.isTTY && process.env['NO_COLOR'] === undefined && process.env['TERM'] !== 'dumb'
  return { write: (text) => void stream.write(text), hasColour }
}

process.exitCode = await run(process.argv.slice(2), {
  out: terminal(process.stdout),
  err: terminal(process.stderr),
  clock: systemClock,
})
