import { expect, test } from 'vitest'
import type { Problem } from '../../core/runtime/config.ts'
import type { TemplateSource } from './template-source.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'

/** Templates that somebody writes, and the source that follows them. */
export interface SourceUnderTest {
  readonly source: TemplateSource & { readonly problems: readonly Problem[] }
  /** Writes a template; what stands in `spec` may be wrong. */
  write(name: string, spec: object): Promise<void>
  remove(name: string): Promise<void>
}

export const RULES = {
  trustDomain: TrustDomain.parse('prod.example'),
  minTtlMs: 300_000,
  maxTtlMs: 86_400_000,
  knowsLabels: true,
}

/** What every source of templates does, wherever they stand. */
export function describeTemplateSource(open: (templates: Record<string, object>) => Promise<SourceUnderTest>): void {
  const ttls = ({ source }: SourceUnderTest) =>
    source
      .current()
      .map(({ name, ttlMs }) => `${name} ${(ttlMs ?? 0) / 60_000}`)
      .toSorted()
  const wrongAt = ({ source }: SourceUnderTest) => source.problems.map(({ path }) => path.replace('.yaml', ''))

  test('follows changes, new templates and removals', async () => {
    const opened = await open({ a: { ttl: '30m' } })
    expect(ttls(opened)).toEqual(['a 30'])
    await opened.write('a', { ttl: '10m' })
    await expect.poll(() => ttls(opened)).toEqual(['a 10'])
    await opened.write('b', { ttl: '30m' })
    await expect.poll(() => ttls(opened)).toEqual(['a 10', 'b 30'])
    await opened.remove('a')
    await expect.poll(() => ttls(opened)).toEqual(['b 30'])
    await opened.remove('b')
    await expect.poll(() => ttls(opened)).toEqual([])
  })

  test.for([
    { name: 'a text that nobody can fill', spec: { ttl: '10m', dnsNames: ['{{ image }}'] }, path: 'spec.dnsNames.0' },
    { name: 'a ttl that the broker does not give', spec: { ttl: '25h' }, path: 'spec.ttl' },
    { name: 'a hint of too many bytes', spec: { hint: 'ü'.repeat(600) }, path: 'spec.hint' },
    { name: 'a reserved ID', spec: { spiffeId: 'spiffe://x/countersign/agent' }, path: 'spec.spiffeId' },
  ])('what was good stays in force while there is $name instead', async ({ spec, path }) => {
    const opened = await open({ a: { ttl: '30m' }, b: { ttl: '30m' } })
    await opened.write('a', spec)
    await expect.poll(() => wrongAt(opened)).toEqual([`a: ${path}`])
    await opened.write('b', { ttl: '10m' })
    await expect.poll(() => ttls(opened)).toEqual(['a 30', 'b 10'])
    await opened.write('a', { ttl: '20m' })
    await expect.poll(() => ttls(opened)).toEqual(['a 20', 'b 10'])
    expect(opened.source.problems).toEqual([])
  })

  test('a template that is wrong from the beginning gives nobody an identity', async () => {
    const opened = await open({ a: { ttl: '30m' } })
    await opened.write('b', { ttl: '1s' })
    await expect.poll(() => wrongAt(opened)).toEqual(['b: spec.ttl'])
    const usable = opened.source.current().filter(({ unusable }) => unusable === undefined)
    expect(usable.map(({ name }) => name)).toEqual(['a'])
  })

  test('the same array until something changes', async () => {
    const opened = await open({ a: { ttl: '30m' } })
    const before = opened.source.current()
    expect(opened.source.current()).toBe(before)
    await opened.write('b', {})
    await expect.poll(() => opened.source.current()).not.toBe(before)
  })
}
