import { describe, expect, test } from 'vitest'
import { MOUNT_SOURCE, mountViolation, resizeOptions, tmpfsInodes, tmpfsOptions, tmpfsSize } from './tmpfs-options.ts'

test('invariant 6: a volume is kept out of swap, and nothing in it is run or is a device', () => {
  expect(tmpfsOptions({ sizeBytes: 1024, noswap: true }).split(',')).toEqual(
    expect.arrayContaining(['nosuid', 'nodev', 'noexec', 'noswap', 'size=1024', 'mode=0755']),
  )
})

test('an SELinux label is quoted, for it may hold a comma', () => {
  const selinuxContext = 'system_u:object_r:container_file_t:s0:c1,c2'
  expect(tmpfsOptions({ sizeBytes: 1, noswap: false, selinuxContext })).toContain(`,context="${selinuxContext}"`)
})

describe('tmpfsSize', () => {
  const MiB = 1024 * 1024
  test.for([
    { files: [], size: MiB },
    { files: [4096, 4096, 4096, 4096, 4096], size: MiB },
    { files: [7 * MiB], size: 32 * MiB },
    { files: Array.from({ length: 60 }, () => 4096), size: 2 * MiB },
  ])('$files.length files take $size bytes', ({ files, size }) => expect(tmpfsSize(files)).toBe(size))

  test('has an upper bound', () => {
    expect(() => tmpfsSize([11 * MiB])).toThrow('the files need more than')
  })
})

describe('tmpfsInodes', () => {
  // Six files without a federated trust domain, and one for each.
  test.for([
    { files: 0, inodes: 256 },
    { files: 6 + 10, inodes: 256 },
    { files: 6 + 57, inodes: 512 },
    { files: 6 + 1000, inodes: 8192 },
  ])('$files files take $inodes', ({ files, inodes }) => expect(tmpfsInodes(files)).toBe(inodes))

  test('are given anew with the size, and the conditions that a remount would lose', () => {
    expect(resizeOptions({ sizeBytes: 1024, inodes: 512 })).toBe('remount,nosuid,nodev,noexec,size=1024,nr_inodes=512')
  })
})

describe('mountViolation', () => {
  const ours = {
    device: '0:1',
    mountPoint: '/x',
    fsType: 'tmpfs',
    source: MOUNT_SOURCE,
    options: ['nosuid', 'nodev', 'noexec'],
  }
  test.for([
    { name: 'ours', change: {}, violation: undefined },
    { name: 'a disk', change: { fsType: 'ext4' }, violation: 'it is not a tmpfs of ours' },
    { name: "somebody else's tmpfs", change: { source: 'tmpfs' }, violation: 'it is not a tmpfs of ours' },
    { name: 'one that runs programs', change: { options: ['nosuid', 'nodev'] }, violation: 'it lacks noexec' },
  ])('$name', ({ change, violation }) => expect(mountViolation({ ...ours, ...change })).toBe(violation))
})
