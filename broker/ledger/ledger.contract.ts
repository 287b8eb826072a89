import { describe, expect, test } from 'vitest'
import type { IssuanceIntent, Ledger } from './ledger.ts'

const NOW = new Date('2026-01-01T00:00:00Z')

export function anIntent(change: Partial<IssuanceIntent> = {}): IssuanceIntent {
  return {
    kind: 'workload',
    serialNumber: '40aa01',
    spiffeId: 'spiffe://prod.example/ns/shop/sa/cart',
    publicKeySha256: 'ab'.repeat(32),
    authorityKeyId: 'cd'.repeat(20),
    notBefore: new Date(NOW.getTime() - 60_000),
    notAfter: new Date(NOW.getTime() + 3_600_000),
    nodeName: 'node-a',
    pod: { namespace: 'shop', name: 'cart-0', uid: 'uid-1', serviceAccount: 'cart' },
    template: 'default',
    tokenId: 'jti-1',
    reviewed: true,
    ...change,
  }
}

/** What every ledger must do; `open` gives an empty one. */
export function ledgerContract(name: string, open: () => Promise<Ledger>): void {
  describe(name, () => {
    test('an intent is there once it was awaited, and counts as issued until it is concluded', async () => {
      const ledger = await open()
      await ledger.intend([anIntent(), anIntent({ serialNumber: '40aa02', kind: 'agent' })])
      expect(await ledger.find('40aa01')).toMatchObject({ outcome: 'intended', podUid: 'uid-1', nodeName: 'node-a' })
      ledger.conclude([
        { serialNumber: '40aa01', outcome: 'issued' },
        { serialNumber: '40aa02', outcome: 'failed' },
      ])
      await ledger.intend([])
      expect(await ledger.find('40aa01')).toMatchObject({ outcome: 'issued', notAfter: anIntent().notAfter })
      expect(await ledger.find('40aa02')).toMatchObject({ outcome: 'failed', kind: 'agent' })
      expect(await ledger.find('40aa03')).toBeUndefined()
      await ledger.close()
    })

    test('invariant 4: a node ends only what is its own', async () => {
      const ledger = await open()
      await ledger.intend([anIntent(), anIntent({ serialNumber: '40aa02', nodeName: 'node-b' })])
      ledger.end('node-a', ['40aa01', '40aa02', 'ffff'])
      await ledger.intend([])
      expect((await ledger.find('40aa01'))?.endedAt).toBeInstanceOf(Date)
      expect((await ledger.find('40aa02'))?.endedAt).toBeUndefined()
      await ledger.close()
    })

    test('a node holds something until its newest SVID expires', async () => {
      const ledger = await open()
      const at = (minutes: number) => new Date(NOW.getTime() + minutes * 60_000)
      await ledger.intend([
        anIntent({ serialNumber: '01', notAfter: at(60) }),
        anIntent({ serialNumber: '02', notAfter: at(30) }),
        anIntent({ serialNumber: '03', nodeName: 'node-b', notAfter: at(20) }),
        anIntent({ serialNumber: '04', nodeName: '', kind: 'broker', notAfter: at(90) }),
      ])
      expect(await ledger.unexpired(at(10))).toEqual(new Map([['node-a', at(60)], ['node-b', at(20)]])) // prettier-ignore
      expect(await ledger.unexpired(at(20))).toEqual(new Map([['node-a', at(60)]]))
      expect(await ledger.unexpired(at(60))).toEqual(new Map())
      await ledger.close()
    })

    test('every intent, result, end and event is one record of the chain', async () => {
      const ledger = await open()
      ledger.record({ event: 'issuance_refused', code: 'token_expired' })
      await ledger.intend([anIntent(), anIntent({ serialNumber: '02' })])
      ledger.conclude([{ serialNumber: '02', outcome: 'issued' }])
      ledger.end('node-a', ['02'])
      await ledger.intend([])
      expect(await ledger.verify()).toBe(5)
      await ledger.close()
    })

    test('an end is put down once, and only of what was there to end', async () => {
      const ledger = await open()
      await ledger.intend([anIntent(), anIntent({ serialNumber: '02', nodeName: 'node-b' })])
      ledger.end('node-a', ['40aa01', '02', 'ffff'])
      for (let time = 0; time < 10; time += 1) ledger.end('node-a', ['40aa01', '02', 'ffff'])
      await ledger.intend([])
      expect(await ledger.verify()).toBe(3)
      await ledger.close()
    })

    test('the document of the authorities comes back as it was saved last', async () => {
      const ledger = await open()
      expect(await ledger.load()).toBeUndefined()
      await ledger.save('one')
      await ledger.save('two')
      expect(await ledger.load()).toBe('two')
      await ledger.close()
    })

    test('says nothing is wrong while nothing is', async () => {
      const ledger = await open()
      expect(ledger.problem()).toBeUndefined()
      await ledger.close()
    })
  })
}
