import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Gives a run one folder for all that its tests write, and removes it with the run, whatever a test left there. Beside
 * it stands what Node makes of the sources: a program that tests start many times has its types stripped once.
 */
export default function setup(): () => void {
  // Short, since paths of sockets below it have 107 octets (unix(7)).
  const folder = mkdtempSync(join(tmpdir(), 'cs-'))
  process.env['TMPDIR'] = folder
  process.env['NODE_COMPILE_CACHE'] = join(folder, 'compiled')
  return () => rmSync(folder, { recursive: true, force: true })
}
