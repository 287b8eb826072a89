import { expect, test } from 'vitest'
import { refusalOf } from './refuse-if-installed.ts'

test('nobody has Countersign installed: nothing is refused', () => {
  expect(refusalOf([], [])).toBeUndefined()
})

test('a refusal names what is there, and how to be rid of it', () => {
  expect(refusalOf(['CSIDriver csi.countersign.dev', 'DaemonSet countersign-agent/countersign-agent'], [])).toBe(
    'Countersign is installed in this cluster already (CSIDriver csi.countersign.dev, DaemonSet countersign-agent/countersign-agent): uninstall it first (docs/operations.md, Uninstall), or take another cluster (npm run cluster -- down, npm run cluster -- up)',
  )
  expect(refusalOf([], [4711])).toContain(
    '(CSIDriver csi.countersign.dev, of process 4711): uninstall it first (npm run cluster:uninstall, or end that process)',
  )
})
