import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { MemoryLedger } from '../../test/fakes/memory-ledger.ts'
import { RefusalAudit, type RefusalAuditLimits } from './refusal-audit.ts'

const limits = (burst: number): RefusalAuditLimits => ({
  strangers: { burst, perSecond: 1 },
  agent: { burst, perSecond: 1 },
  agents: { burst: 2 * burst, perSecond: 2 },
})
const refusal = (code: 'token_expired' | 'token_malformed') => new IdentityError(code, 'words for the caller')

test('a refusal is written down with its code, its facts and what only an operator may see', () => {
  const ledger = new MemoryLedger()
  const error = new IdentityError('template_ambiguous', 'more than one', { cause: new Error('selected by a, b') })
  new RefusalAudit(ledger, new FakeClock()).refused('issuance_refused', error, { podUid: 'u' })
  expect(ledger.events).toEqual([
    { event: 'issuance_refused', code: 'template_ambiguous', podUid: 'u', reason: 'selected by a, b' },
  ])
})

test('a flood is counted instead, and the count is written with the next record that fits', async () => {
  const ledger = new MemoryLedger()
  const clock = new FakeClock()
  const audit = new RefusalAudit(ledger, clock, limits(3))
  for (let index = 0; index < 1000; index += 1) audit.refused('attestation_refused', refusal('token_expired'), {})
  audit.refused('attestation_refused', refusal('token_malformed'), {})
  expect(ledger.events).toHaveLength(3)
  await clock.advance(1000)
  audit.refused('attestation_refused', refusal('token_expired'), {})
  expect(ledger.events.slice(3)).toEqual([
    { event: 'refusals_suppressed', callers: 'strangers', codes: ['token_expired=997', 'token_malformed=1'] },
    { event: 'attestation_refused', code: 'token_expired' },
  ])
})

test('strangers do not hide what agents are refused, nor one agent what another is', () => {
  const ledger = new MemoryLedger()
  const audit = new RefusalAudit(ledger, new FakeClock(), limits(3))
  for (let index = 0; index < 1000; index += 1) {
    audit.refused('attestation_refused', refusal('token_expired'), { peer: 'x' })
    audit.refused('caller_refused', refusal('token_expired'), { peer: 'x' })
    audit.refused('issuance_refused', refusal('token_expired'), { nodeName: 'node-a' })
  }
  audit.refused('issuance_refused', refusal('token_malformed'), { nodeName: 'node-b' })
  const written = ledger.events.map(({ event, nodeName }) => `${event} ${String(nodeName)}`)
  expect(written.filter((text) => text === 'issuance_refused node-a')).toHaveLength(3)
  expect(written).toContain('issuance_refused node-b')
  expect(ledger.events).toHaveLength(8)
})

test('what was only counted is written as the broker stops', () => {
  const ledger = new MemoryLedger()
  const audit = new RefusalAudit(ledger, new FakeClock(), limits(1))
  audit.refused('issuance_refused', refusal('token_expired'), {})
  audit.refused('issuance_refused', refusal('token_expired'), {})
  audit.flush()
  expect(ledger.events.at(-1)).toEqual({ event: 'refusals_suppressed', callers: 'agents', codes: ['token_expired=1'] })
})
