import { describe, expect, test } from 'vitest'
import { deviceOf, parseMountInfo } from './mountinfo.ts'

describe('parseMountInfo', () => {
  test.for([
    {
      name: 'a tmpfs with optional fields',
      line: '63 43 0:39 / /var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/v/mount rw,nosuid,nodev,noexec,relatime shared:1 master:2 - tmpfs csi.countersign.dev rw,size=1024k,noswap',
      mountPoint: '/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/v/mount',
      options: ['rw', 'nosuid', 'nodev', 'noexec', 'relatime', 'rw', 'size=1024k', 'noswap'],
    },
    {
      name: 'space, tab, line feed and backslash',
      line: '63 43 0:39 / /a\\040b\\011c\\012d\\134040 rw - tmpfs csi.countersign.dev rw',
      mountPoint: '/a b\tc\nd\\040',
      options: ['rw', 'rw'],
    },
    {
      name: 'a name in UTF-8, escaped and not',
      line: '63 43 0:39 / /ü\\303\\274 rw - tmpfs csi.countersign.dev rw',
      mountPoint: '/üü',
      options: ['rw', 'rw'],
    },
    {
      name: 'a label with commas',
      line: '63 43 0:39 / /a rw - tmpfs csi.countersign.dev rw,context=system_u:object_r:container_file_t:s0',
      mountPoint: '/a',
      options: ['rw', 'rw', 'context=system_u:object_r:container_file_t:s0'],
    },
  ])('$name', ({ line, mountPoint, options }) => {
    expect(parseMountInfo(`${line}\n`)).toEqual([
      { device: '0:39', mountPoint, fsType: 'tmpfs', source: 'csi.countersign.dev', options },
    ])
  })

  test.for(['', '\n', 'a', '63 43 0:39 / /a rw', '63 43 0:39 / /a rw - tmpfs', ' - '.repeat(9)])(
    'leaves %j out',
    (text) => expect(parseMountInfo(text)).toEqual([]),
  )
})

test.for([
  [0x27, '0:39'],
  [0x801, '8:1'],
  [0x100_002c, '0:4140'],
] as const)('device %d is %s', ([dev, text]) => expect(deviceOf(dev)).toBe(text))
