import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { elapsed, type Log } from '../base/log.ts'
import { run } from '../base/run.ts'
import { TOOL_MODULES, type ToolModule } from './catalog.ts'
import { goVersion } from './go.ts'

/** Paths of the built programs, by name. */
export type Binaries = (name: string) => string

export function binariesFrom(paths: Readonly<Record<string, string>>): Binaries {
  return (name) => {
    const path = paths[name]
    if (path === undefined) throw new Error(`no tool is called ${name}`)
    return path
  }
}

const COMMON_FLAGS = ['-trimpath', '-mod=readonly', '-buildvcs=false']
const BUILD_TIMEOUT = 60 * 60_000

/**
 * Builds what the cluster runs (or `modules`), or finds it built, and returns the programs' paths by name: each Go module
 * has a folder in the cache, named by a hash of its files, of the flags and of Go's version.
 */
export async function buildTools(
  log: Log,
  signal?: AbortSignal,
  modules: readonly ToolModule[] = TOOL_MODULES,
): Promise<Record<string, string>> {
  const go = await goVersion()
  const found: Record<string, string> = {}
  const missing: { module: ToolModule; name: string; package: string; path: string }[] = []
  for (const module of modules) {
    const bin = join(cacheDir(), `${basename(module.dir)}-${await fingerprint(module, go)}`, 'bin')
    for (const tool of module.tools) {
      const path = join(bin, tool.name)
      found[tool.name] = path
      if (!existsSync(path)) missing.push({ module, ...tool, path })
    }
  }

  if (missing.length > 0)
    log(`building ${missing.length} programs with ${go}, once: all that a cluster runs takes 7 min on 2 cores`)
  for (const [index, { module, name, package: source, path }] of missing.entries()) {
    const start = performance.now()
    log(`[${index + 1}/${missing.length}] ${name} (${source}) …`)
    const progress = setInterval(() => log(`    still building ${name}, ${elapsed(start)}`), 30_000)
    // Renamed when done, so that an interrupted build never leaves half a program.
    const partial = `${path}.${process.pid}`
    await mkdir(join(path, '..'), { recursive: true })
    try {
      await run('go', ['build', ...COMMON_FLAGS, ...module.flags, '-o', partial, source], {
        cwd: module.dir,
        env: { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '' },
        timeout: BUILD_TIMEOUT,
        ...(signal ? { signal } : {}),
      })
    } finally {
      clearInterval(progress)
    }
    await rename(partial, path)
    log(`[${index + 1}/${missing.length}] ${name}: ${elapsed(start)}`)
  }

  return found
}

/** Survives between runs; `COUNTERSIGN_CLUSTER_CACHE` moves it. */
export function cacheDir(): string {
  const own = process.env['COUNTERSIGN_CLUSTER_CACHE']
  if (own) return own
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'countersign-cluster')
}

async function fingerprint(module: ToolModule, go: string): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([go, process.arch, COMMON_FLAGS, module.flags]))
  const files = (await readdir(module.dir)).filter((name) => /^go\.(mod|sum)$|\.go$/.test(name)).sort()
  for (const name of files) hash.update(name).update(await readFile(join(module.dir, name)))
  return hash.digest('hex').slice(0, 16)
}
