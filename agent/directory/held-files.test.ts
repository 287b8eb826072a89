import { expect, test } from 'vitest'
import { mustGo } from './held-files.ts'

const P = { podUid: 'p', recorded: true }
const CONCLUDED = { podUid: 'p', recorded: false }
const UNKNOWN = { podUid: undefined, recorded: false }
const p = { podUid: 'p', isDeclared: true }
const q = { podUid: 'q', isDeclared: true }
const wrong = (podUid: string) => ({ podUid, isDeclared: false })

test.for([
  { name: 'of its own pod, for whomever', files: P, named: p, same: false, goes: false },
  { name: 'of another pod, for others', files: P, named: q, same: false, goes: true },
  { name: 'of another pod, for the same', files: P, named: q, same: true, goes: true },
  { name: 'while there is no token', files: P, named: undefined, same: false, goes: false },
  { name: 'of a pod that is not declared', files: P, named: wrong('p'), same: true, goes: true },
  { name: 'beside a token that is not declared', files: P, named: wrong('q'), same: true, goes: false },
  { name: 'concluded, for the same', files: CONCLUDED, named: p, same: true, goes: false },
  { name: 'concluded, for others', files: CONCLUDED, named: p, same: false, goes: true },
  { name: 'concluded, of another pod', files: CONCLUDED, named: q, same: true, goes: true },
  { name: 'unknown, for the same', files: UNKNOWN, named: p, same: true, goes: false },
  { name: 'unknown, for others', files: UNKNOWN, named: p, same: false, goes: true },
  { name: 'unknown, and no token', files: UNKNOWN, named: undefined, same: false, goes: false },
  { name: 'unknown, beside a token that is not declared', files: UNKNOWN, named: wrong('q'), same: true, goes: true },
])('files go or stay: $name', ({ files, named, same, goes }) => {
  expect(mustGo(files, named, { sameReaders: same })).toBe(goes)
})
