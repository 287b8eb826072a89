import { writeFileSync } from 'node:fs'

/**
 * From now on a core dump of this process holds no memory, and so no key and no token (invariant 6): where a container has
 * no limit, the kernel writes dumps to wherever the host's `core_pattern` says, which is a disk as a rule. The stacks in a
 * dump are lost with it. An edge file, and the first thing that a program does; child processes inherit it.
 *
 * Where the system has no such file, nothing is done.
 */
export function keepMemoryOutOfCoreDumps(): void {
  try {
    writeFileSync('/proc/self/coredump_filter', '0')
  } catch {
    // Not Linux, or a kernel without it: nothing that a program could be kept from starting for.
  }
}
