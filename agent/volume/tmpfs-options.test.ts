import { describe, expect, test } from 'vitest'
import { MOUNT_SOURCE, mountViolation, tmpfsOptions, tmpfsSize } from './tmpfs-options.ts'

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
