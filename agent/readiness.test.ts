import { expect, test } from 'vitest'
import { notReadyReasons } from './readiness.ts'

const WELL = { isConnected: true, failure: undefined, ownLeftMs: 1, isRegistered: undefined }

test.for([
  { name: 'connected and attested', facts: WELL, reasons: [] },
  { name: 'known to kubelet', facts: { ...WELL, isRegistered: true }, reasons: [] },
  {
    name: 'not known to kubelet yet',
    facts: { ...WELL, isRegistered: false },
    reasons: ['kubelet has not registered the driver yet'],
  },
  {
    name: 'just started',
    facts: { ...WELL, isConnected: false, ownLeftMs: undefined },
    reasons: ['the node is not attested yet', 'there is no connection to the broker'],
  },
  {
    name: 'without a broker',
    facts: { ...WELL, isConnected: false, failure: 'chain_untrusted' },
    reasons: ['there is no connection to the broker: chain_untrusted'],
  },
  {
    name: 'cut off for longer than its own SVID lived',
    facts: { ...WELL, isConnected: false, failure: 'broker_unavailable', ownLeftMs: -1 },
    reasons: ["the agent's own SVID has expired", 'there is no connection to the broker: broker_unavailable'],
  },
])('$name', ({ facts, reasons }) => expect(notReadyReasons(facts)).toEqual(reasons))
