import type { Access } from './access.ts'

/**
 * Who may read the keys and connect to the socket: the user that the agent runs as, the group of this number, or
 * whoever reaches the folder.
 */
export type Readers = 'owner' | 'everyone' | number

/** Of a file that holds a key. */
export function keyAccess(readers: Readers): Access {
  return accessFor(readers, { owner: 0o400, group: 0o440, everyone: 0o444 })
}

/** Of the socket: to connect takes write permission; a read-only mount does not forbid it. */
export function socketAccess(readers: Readers): Access {
  return accessFor(readers, { owner: 0o700, group: 0o770, everyone: 0o777 })
}

/** Of a workload's own folder, where no kubelet guards the way to it. */
export function folderAccess(readers: Readers): Access {
  return accessFor(readers, { owner: 0o700, group: 0o750, everyone: 0o755 })
}

function accessFor(readers: Readers, modes: Readonly<Record<'owner' | 'group' | 'everyone', number>>): Access {
  return typeof readers === 'number' ? { mode: modes.group, gid: readers } : { mode: modes[readers] }
}
