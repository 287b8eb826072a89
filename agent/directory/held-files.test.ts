import { expect, test } from 'vitest'
import { mustGo } from './held-files.ts'

const p = { podUid: 'p', isDeclared: true }
const q = { podUid: 'q', isDeclared: true }
const wrong = (podUid: string) => ({ podUid, isDeclared: false })

test.for([
  { name: 'of its own pod, for the same', files: 'p', named: p, same: true, goes: false },
  {
    name: 'of its own pod by a token that anybody may have written, for others',
    files: 'p',
    named: p,
    same: false,
    goes: true,
  },
  { name: 'of another pod, for others', files: 'p', named: q, same: false, goes: true },
  { name: 'of another pod, for the same', files: 'p', named: q, same: true, goes: true },
  { name: 'while there is no token', files: 'p', named: undefined, same: false, goes: false },
  { name: 'of a pod that is not declared', files: 'p', named: wrong('p'), same: true, goes: true },
  { name: 'beside a token that is not declared', files: 'p', named: wrong('q'), same: true, goes: false },
  { name: 'unknown, for the same', files: undefined, named: p, same: true, goes: false },
  { name: 'unknown, for others', files: undefined, named: p, same: false, goes: true },
  { name: 'unknown, and no token', files: undefined, named: undefined, same: false, goes: false },
  { name: 'unknown, beside a token that is not declared', files: undefined, named: wrong('q'), same: true, goes: true },
])('files go or stay: $name', ({ files, named, same, goes }) => {
  expect(mustGo(files, named, { sameReaders: same })).toBe(goes)
})
