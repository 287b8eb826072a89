import type { Guard } from './guard.ts'

/** What keeps one node, or one trust domain, from taking what is another's. */
export const BROKER_GUARDS: readonly Guard[] = [
  {
    invariant: 'issuance: renewals have turns of their own',
    file: 'broker/issuance/signing-budget.ts',
    find: '    for (const queue of [favoured, ...this.#queues]) {',
    replace: '    for (const queue of this.#queues) {',
    test: 'broker/issuance/signing-budget.test.ts',
    title: 'renewals have turns of their own',
  },
  {
    invariant: 'issuance: renewals have room of their own',
    file: 'broker/issuance/signing-budget.ts',
    find: ' || isWithinOwn)',
    replace: ')',
    test: 'broker/issuance/signing-budget.test.ts',
    title: 'each urgency has a part of the queue',
  },
  {
    invariant: 'agents: the SVID of a node that is gone does not speak for the next by its name',
    file: 'broker/api/node-succession.ts',
    find: "    if (isOther && !isNewer) return 'predecessor'\n",
    replace: '',
    test: 'broker/broker-succession.test.ts',
    title: 'the agent of a node that is gone',
  },
  {
    invariant: 'broker: authorities sign for no other trust domain',
    file: 'broker/ca/authorities.ts',
    find: '    checkTrustDomain(state.slots, options.trustDomain)\n',
    replace: '',
    test: 'broker/broker-lifecycle.test.ts',
    title: 'on the ledger of another trust domain',
  },
]
