import { expect, test } from 'vitest'
import { nameOf, parseTemplateText } from './template-text.ts'

test('parses texts and facts', () => {
  expect(parseTemplateText('a{{ namespace }}/{{podLabels.app.kubernetes.io/name}}{{ namespaceLabels.team }}')).toEqual([
    'a',
    { kind: 'namespace' },
    '/',
    { kind: 'podLabels', label: 'app.kubernetes.io/name' },
    { kind: 'namespaceLabels', label: 'team' },
  ])
  expect(parseTemplateText('').length).toBe(0)
  expect(nameOf({ kind: 'podLabels', label: 'a/b' })).toBe('podLabels.a/b')
})

test.for([
  { name: 'an unknown fact', text: '{{ image }}', says: "unknown fact 'image'" },
  { name: 'no fact', text: '{{ }}', says: 'unknown fact' },
  { name: 'an inherited property', text: '{{ constructor }}', says: 'unknown fact' },
  { name: 'an expression', text: '{{ namespace | upper }}', says: 'unknown fact' },
  { name: 'a label that Kubernetes does not allow', text: '{{ podLabels.a b }}', says: 'no label' },
  { name: 'labels without a name', text: '{{ podLabels. }}', says: 'no label' },
  { name: 'braces left open', text: 'a{{ namespace', says: 'do not pair' },
  { name: 'braces never opened', text: 'a }}', says: 'do not pair' },
  { name: 'braces within braces', text: '{{ {{ namespace }} }}', says: '' },
  { name: 'a text too long', text: 'a'.repeat(4097), says: 'longer' },
])('refuses $name', ({ text, says }) => {
  expect(() => parseTemplateText(text)).toThrow(
    expect.objectContaining({ name: 'SyntaxError', message: expect.stringContaining(says) }),
  )
})
