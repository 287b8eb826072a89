import { expect, test } from 'vitest'
import { notReadyReasons } from './readiness.ts'

test.for([
  { name: 'connected and attested', facts: { isConnected: true, failure: undefined, ownLeftMs: 1 }, reasons: [] },
  {
    name: 'just started',
    facts: { isConnected: false, failure: undefined, ownLeftMs: undefined },
    reasons: ['the node is not attested yet', 'there is no connection to the broker'],
  },
  {
    name: 'without a broker',
    facts: { isConnected: false, failure: 'chain_untrusted', ownLeftMs: 5_000 },
    reasons: ['there is no connection to the broker: chain_untrusted'],
  },
  {
    name: 'cut off for longer than its own SVID lived',
    facts: { isConnected: false, failure: 'broker_unavailable', ownLeftMs: -1 },
    reasons: ["the agent's own SVID has expired", 'there is no connection to the broker: broker_unavailable'],
  },
])('$name', ({ facts, reasons }) => expect(notReadyReasons(facts)).toEqual(reasons))
