import { expect, test } from 'vitest'
import type { CheckResult } from '../checks/run-checks.ts'
import { checkDocument, checkReport } from './check-report.ts'

const results: CheckResult[] = [
  { id: 'one', category: 'kubernetes', title: 'the API server answers', outcome: 'pass', reason: 'it is v1.37.1' },
  {
    id: 'two',
    category: 'kubernetes',
    title: 'the kubelets are new enough',
    outcome: 'warn',
    reason: '1 is old',
    remedy: 'Upgrade it.',
  },
  {
    id: 'three',
    category: 'pods',
    title: 'no pod waits',
    outcome: 'fail',
    reason: '1 pod waits',
    remedy: 'See below.',
    findings: [
      { subject: 'shop/cart', reason: 'no template', remedy: 'Write one.' },
      { subject: 'shop/x', reason: 'forged\u001B[2K\r✔ all is well' },
    ],
  },
  { id: 'four', category: 'pods', title: 'something else', outcome: 'skip', reason: 'not asked' },
]

test('for people, without colours', () => {
  expect(checkReport(results, { hasColour: false })).toBe(`kubernetes
----------
✔ the API server answers (it is v1.37.1)
‼ the kubelets are new enough
    1 is old
    → Upgrade it.
    docs/cli.md#two

pods
----
✖ no pod waits
    1 pod waits
      shop/cart: no template
        → Write one.
      shop/x: forged�[2K�✔ all is well
    → See below.
    docs/cli.md#three
- something else (not asked)

✖ 1 of 4 checks passed, 1 failed, 1 warning, 1 skipped
`)
})

test('marks have their colours where a person looks', () => {
  const text = checkReport(results, { hasColour: true })
  expect(text).toContain('\u001B[32m✔\u001B[39m the API server answers')
  expect(text).toContain('\u001B[33m‼\u001B[39m')
  expect(text).toContain('\u001B[31m✖\u001B[39m no pod waits')
})

test('for programs', () => {
  expect(checkDocument(results)).toMatchObject({
    outcome: 'fail',
    checks: [
      { id: 'one', outcome: 'pass', docs: 'docs/cli.md#one' },
      { id: 'two', remedy: 'Upgrade it.' },
      { id: 'three', findings: [{ subject: 'shop/cart', remedy: 'Write one.' }, { subject: 'shop/x' }] },
      { id: 'four', outcome: 'skip' },
    ],
  })
})

test('what others wrote stays in its line, wherever a line could be forged', () => {
  const forged = 'gone\n✔ all is well\r\n✔ more'
  const results: CheckResult[] = [
    { id: 'x', category: 'pods', title: 'no pod waits', outcome: 'fail', reason: forged, findings: [{ subject: forged, reason: forged, remedy: forged }] }, // prettier-ignore
    { id: 'y', category: 'pods', title: 'others', outcome: 'skip', reason: forged },
  ]
  expect(checkReport(results, { hasColour: false }).match(/^✔/gm)).toBeNull()
})
