import { readFile, writeFile } from 'node:fs/promises'

/** Values by file below `/proc/sys`. */
export type Sysctls = Record<string, string>

// What kubelet sets for itself (`protectKernelDefaults: false`); they are the machine's, not a namespace's.
const CHANGED_BY_KUBELET = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
]

export async function readSysctls(): Promise<Sysctls> {
  const values = await Promise.all(CHANGED_BY_KUBELET.map((name) => readFile(`/proc/sys/${name}`, 'utf8')))
  return Object.fromEntries(CHANGED_BY_KUBELET.map((name, index) => [name, (values[index] ?? '').trim()]))
}

export async function restoreSysctls(saved: Sysctls): Promise<void> {
  const current = await readSysctls()
  for (const [name, value] of Object.entries(saved)) {
    if (current[name] !== value) await writeFile(`/proc/sys/${name}`, value)
  }
}
