import { expect, test } from 'vitest'
import { NodeSuccession } from './node-succession.ts'

const at = (minutes: number) => new Date(Date.UTC(2026, 0, 1, 0, minutes))
const agent = (nodeUid: string, issued: number, nodeName = 'node-a') => ({
  kind: 'agent' as const,
  nodeName,
  nodeUid,
  notBefore: at(issued),
  notAfter: at(issued + 60),
})

test('the node whose SVID is newer bears the name, and the one before it no longer', () => {
  const succession = new NodeSuccession()
  expect(succession.judge(agent('first', 0), at(1))).toBe('same')
  expect(succession.judge(agent('second', 10), at(11))).toBe('successor')
  expect(succession.judge(agent('first', 0), at(12))).toBe('predecessor')
  expect(succession.judge(agent('second', 10), at(13))).toBe('same')
  expect(succession.judge(agent('other', 0, 'node-b'), at(14))).toBe('same')
})

test('an older SVID of the same node is as good as its newest, and takes nothing of it back', () => {
  const succession = new NodeSuccession()
  succession.judge(agent('second', 20), at(21))
  expect(succession.judge(agent('second', 5), at(22))).toBe('same')
  expect(succession.judge(agent('first', 10), at(23))).toBe('predecessor')
})

test('nobody is kept out by an SVID of a clock that was set back since', () => {
  const succession = new NodeSuccession()
  succession.judge(agent('first', 600), at(601))
  expect(succession.judge(agent('second', 5), at(6))).toBe('successor')
  expect(succession.judge(agent('second', 5), at(7))).toBe('same')
})

test('what has ended is forgotten', () => {
  const succession = new NodeSuccession()
  succession.judge(agent('second', 10), at(11))
  expect(succession.judge(agent('first', 5), at(64))).toBe('predecessor')
  expect(succession.judge(agent('first', 5), at(71))).toBe('same')
})
