import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/**
 * Gives a run one folder for all that its tests write, and removes it with the run, whatever a test left there. What
 * Node makes of the sources is kept: a program that tests start many times has its types stripped once. That is not in
 * the run's folder, because a process writes it as it ends, which can be after the run; `npm ci` removes it.
 */
export default function setup(): () => void {
  // Short, since paths of sockets below it have 107 octets (unix(7)).
  const folder = mkdtempSync(join(tmpdir(), 'cs-'))
  process.env['TMPDIR'] = folder
  process.env['NODE_COMPILE_CACHE'] = resolve('node_modules/.cache/compiled')
  return () => rmSync(folder, { recursive: true, force: true })
}
