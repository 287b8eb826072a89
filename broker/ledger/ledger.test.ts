import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { describe, expect, test, vi } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { MemoryLedger } from '../../test/fakes/memory-ledger.ts'
import { type AuditKey, type ChainedRecord, link } from './audit-chain.ts'
import { anIntent, ledgerContract } from './ledger.contract.ts'
import { MIGRATIONS } from './migrations.ts'
import { SqliteLedger, type SqliteLedgerOptions } from './sqlite-ledger.ts'

const newFile = () => join(mkdtempSync(join(tmpdir(), 'ledger-')), 'ledger.sqlite')
const clock = new FakeClock()
const auditKey: AuditKey = { id: 'one', key: new Uint8Array(32).fill(1) }
const openFile = (file: string, change: Partial<Omit<SqliteLedgerOptions, 'file' | 'clock'>> = {}) =>
  SqliteLedger.open({ file, auditKey, clock, ...change })

ledgerContract('in memory', async () => new MemoryLedger())
ledgerContract('SQLite', () => openFile(newFile()))

/** Changes a closed ledger behind its back. */
function tamper(file: string, sql: string): void {
  const database = new DatabaseSync(file)
  database.exec(sql)
  database.close()
}

async function filled(count = 3): Promise<string> {
  const file = newFile()
  const ledger = await openFile(file)
  await ledger.intend(Array.from({ length: count }, (_, index) => anIntent({ serialNumber: `0${index}` })))
  await ledger.close()
  return file
}

test('everything is there after a restart, and the chain goes on', async () => {
  const file = await filled()
  const ledger = await openFile(file)
  expect(await ledger.find('01')).toMatchObject({ outcome: 'intended' })
  ledger.record({ event: 'broker_started' })
  await ledger.intend([anIntent({ serialNumber: '99' })])
  expect(await ledger.verify()).toBe(5)
  await ledger.close()
})

test('nobody but its owner may read what was issued to whom', async () => {
  const file = newFile()
  const ledger = await openFile(file)
  await ledger.intend([anIntent({ serialNumber: '01' })])
  const modes = [file, `${file}-wal`, `${file}-shm`].map((path) => statSync(path).mode & 0o777)
  expect(modes).toEqual([0o600, 0o600, 0o600])
  await ledger.close()
})

test('intents that arrive together are written together, each caller hears of its own', async () => {
  const ledger = await openFile(newFile())
  await Promise.all(
    Array.from({ length: 500 }, (_, index) =>
      ledger.intend([anIntent({ serialNumber: String(index).padStart(4, '0') })]),
    ),
  )
  expect(await ledger.verify()).toBe(500)
  await ledger.close()
})

test('results that come one by one are put down together, as many as fit in a record', async () => {
  const file = newFile()
  const ledger = await openFile(file)
  const serialNumbers = Array.from({ length: 600 }, (_, index) => String(index).padStart(4, '0'))
  await ledger.intend(serialNumbers.map((serialNumber) => anIntent({ serialNumber })))
  for (const serialNumber of serialNumbers) {
    ledger.conclude([{ serialNumber, outcome: serialNumber === '0007' ? 'failed' : 'issued' }])
  }
  await ledger.intend([])
  expect((await ledger.find('0007'))?.outcome).toBe('failed')
  for (const serialNumber of ['0000', '0499', '0500', '0599']) {
    expect((await ledger.find(serialNumber))?.outcome).toBe('issued')
  }
  expect(await ledger.verify()).toBe(600 + 3)
  await ledger.close()
})

test('a result that nothing follows is put down by itself', async () => {
  const ledger = await openFile(newFile())
  await ledger.intend([anIntent()])
  ledger.conclude([{ serialNumber: '40aa01', outcome: 'issued' }])
  expect((await ledger.find('40aa01'))?.outcome).toBe('intended')
  await expect
    .poll(async () => {
      await clock.advance(20)
      return (await ledger.find('40aa01'))?.outcome
    })
    .toBe('issued')
  await ledger.close()
})

test('what waits when it closes is still written', async () => {
  const file = newFile()
  const ledger = await openFile(file)
  const intended = ledger.intend([anIntent()])
  ledger.conclude([{ serialNumber: '40aa01', outcome: 'issued' }])
  await ledger.close()
  await intended
  const again = await openFile(file)
  expect(await again.find('40aa01')).toMatchObject({ outcome: 'issued' })
  await again.close()
  await expect(again.intend([anIntent()])).rejects.toMatchObject({ code: 'store_unavailable' })
})

describe('refuses to start on', () => {
  test.for([
    { name: 'a changed record', sql: `UPDATE audit SET record = replace(record, 'cart', 'till') WHERE seq = 2` },
    { name: 'a record that is gone', sql: 'DELETE FROM audit WHERE seq = 2' },
    { name: 'a record that is gone at the beginning', sql: 'DELETE FROM audit WHERE seq = 1' },
    {
      name: 'a beginning that was moved',
      sql: `UPDATE chain SET pruned_seq = 1, pruned_hash = (SELECT hash FROM audit WHERE seq = 1);
            DELETE FROM audit WHERE seq = 1`,
    },
    {
      name: 'an audit chain that was taken away',
      sql: 'DELETE FROM audit; DELETE FROM chain; INSERT INTO authorities VALUES (1, 0)',
    },
    { name: 'a chain of before it had a key', sql: 'DROP TABLE chain' },
    { name: 'a record that was put in', sql: `INSERT INTO audit VALUES (4, 0, '{}', 'aa')` },
    {
      name: 'a trigger that keeps records away',
      sql: 'CREATE TRIGGER own BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END',
    },
    {
      name: 'a view in the place of a table',
      sql: `ALTER TABLE audit RENAME TO kept;
            CREATE VIEW audit AS SELECT seq, authorities, record, hash FROM kept;
            CREATE TRIGGER own INSTEAD OF INSERT ON audit BEGIN SELECT RAISE(IGNORE); END;
            CREATE TRIGGER gone INSTEAD OF DELETE ON audit BEGIN SELECT RAISE(IGNORE); END`,
    },
  ])('$name', async ({ sql }) => {
    const file = await filled()
    tamper(file, sql)
    await expect(openFile(file)).rejects.toMatchObject({ code: 'store_corrupt' })
  })

  test('a chain that was computed anew by somebody without the key', async () => {
    const file = await filled()
    const database = new DatabaseSync(file)
    const rows = database.prepare('SELECT * FROM audit ORDER BY seq').all() as unknown as ChainedRecord[]
    let previous = String(database.prepare('SELECT pruned_hash FROM chain').get()?.['pruned_hash'])
    for (const row of rows) {
      const forged = { ...row, record: row.record.replace('cart', 'till') }
      previous = link(previous, forged, { id: 'one', key: new Uint8Array(32) })
      database.prepare('UPDATE audit SET record = ?, hash = ? WHERE seq = ?').run(forged.record, previous, row.seq)
    }
    database.close()
    await expect(openFile(file)).rejects.toMatchObject({
      code: 'store_corrupt',
      message: expect.stringContaining('broken at record 1'),
    })
  })

  test('records that are gone at the beginning of a long chain', async () => {
    const file = await filled(1100)
    tamper(file, 'DELETE FROM audit WHERE seq < 50')
    await expect(openFile(file)).rejects.toMatchObject({ code: 'store_corrupt' })
  })

  test('a ledger that was written with another key', async () => {
    const file = await filled()
    const other = { id: 'two', key: new Uint8Array(32).fill(2) }
    await expect(openFile(file, { auditKey: other })).rejects.toMatchObject({ code: 'key_store_locked' })
  })

  test('a database of a newer program', async () => {
    const file = await filled()
    tamper(file, `PRAGMA user_version = ${MIGRATIONS.length + 1}`)
    await expect(openFile(file)).rejects.toMatchObject({ code: 'store_too_new' })
  })

  test('a file that is no database', async () => {
    const file = newFile()
    writeFileSync(file, 'this is not a database, by far'.repeat(300))
    await expect(openFile(file)).rejects.toMatchObject({ code: 'store_corrupt' })
  })

  test('a database with damaged pages', async () => {
    const file = await filled(200)
    const bytes = readFileSync(file)
    bytes.fill(0x5a, 4096)
    writeFileSync(file, bytes)
    await expect(openFile(file)).rejects.toMatchObject({ code: 'store_corrupt' })
  })

  test('a folder that is not there', async () => {
    await expect(openFile('/nonexistent/folder/ledger.sqlite')).rejects.toMatchObject({ code: 'store_unavailable' })
  })

  test('a ledger that another broker has open', async () => {
    const file = newFile()
    const first = await openFile(file)
    await expect(openFile(file)).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('locked'),
    })
    await first.close()
  })
})

describe('does not believe authorities', () => {
  const saved = async () => {
    const file = newFile()
    const ledger = await openFile(file)
    for (const document of ['older', 'newest']) await ledger.save(document)
    await ledger.intend([anIntent()])
    expect(await ledger.load()).toBe('newest')
    await ledger.close()
    return file
  }

  test.for([
    { name: 'that are older than the audit chain says', sql: `UPDATE authorities SET document = 'older'` },
    { name: 'that are gone', sql: 'DELETE FROM authorities' },
  ])('$name', async ({ sql }) => {
    const file = await saved()
    tamper(file, sql)
    const ledger = await openFile(file)
    await expect(ledger.load()).rejects.toMatchObject({
      code: 'store_corrupt',
      message: expect.stringContaining('saved last'),
    })
    await ledger.close()
  })
})

test('does not believe older authorities that were put back while it runs', async () => {
  const file = newFile()
  const ledger = await openFile(file)
  for (const document of ['older', 'newest']) await ledger.save(document)
  await ledger.intend([anIntent()])
  tamper(
    file,
    `UPDATE authorities SET document = 'older';
     UPDATE audit SET authorities = 1 WHERE seq = (SELECT max(seq) FROM audit)`,
  )
  await expect(ledger.load()).rejects.toMatchObject({ code: 'store_corrupt' })
  await ledger.close()
})

test.for([
  { name: 'were cut off', sql: 'DELETE FROM audit WHERE seq > 1' },
  {
    name: 'never came',
    sql: 'CREATE TRIGGER own BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END',
  },
])('says that the newest records $name while it runs', async ({ sql }) => {
  const file = newFile()
  const ledger = await openFile(file)
  for (const serialNumber of ['01', '02']) await ledger.intend([anIntent({ serialNumber })])
  tamper(file, sql)
  await ledger.intend([anIntent({ serialNumber: '03' })]).catch(() => {})
  await expect(ledger.head()).rejects.toMatchObject({ code: 'store_corrupt' })
  await ledger.close()
})

describe('what is old enough', () => {
  const DAY = 24 * 3_600_000

  /** 1200 SVIDs of the first day, one of the tenth, with authorities that were saved between them. */
  async function aged() {
    const file = newFile()
    const time = new FakeClock()
    const ledger = await SqliteLedger.open({ file, auditKey, clock: time })
    const dayOf = (day: number) => new Date(time.now().getTime() + day * DAY)
    const old = Array.from({ length: 1200 }, (_, index) =>
      anIntent({ serialNumber: `0a${String(index).padStart(4, '0')}`, notAfter: dayOf(1) }),
    )
    await ledger.intend(old)
    await time.advance(10 * DAY)
    await ledger.save('newest')
    await ledger.intend([anIntent({ serialNumber: '0b', notAfter: dayOf(1) })])
    return { file, ledger, before: new Date(time.now().getTime() - 5 * DAY) }
  }

  test('goes a few rows at a time, and the chain stays whole from where it then begins', async () => {
    const { file, ledger, before } = await aged()
    const steps: number[] = []
    for (let gone = -1; gone !== 0;) steps.push((gone = await ledger.prune(before)))
    expect(steps).toEqual([1000, 1000, 400, 0])
    expect(await ledger.find('0a0000')).toBeUndefined()
    expect(await ledger.find('0b')).toBeDefined()
    expect(await ledger.verify()).toBe(2)
    await ledger.close()
    const again = await openFile(file)
    expect(await again.verify()).toBe(2)
    expect(await again.load()).toBe('newest')
    await again.close()
  })

  test('goes no further than the newest change of authorities, and what nobody let go is missed', async () => {
    const { file, ledger } = await aged()
    const never = new Date(8.64e15)
    while ((await ledger.prune(never)) > 0);
    expect(await ledger.verify()).toBe(2)
    expect(await ledger.load()).toBe('newest')
    await ledger.close()
    tamper(file, 'DELETE FROM audit WHERE seq = (SELECT min(seq) FROM audit)')
    await expect(openFile(file)).rejects.toMatchObject({ code: 'store_corrupt' })
  })
})

test('the newest record says where the chain has come to', async () => {
  const ledger = await openFile(newFile())
  expect((await ledger.head()).seq).toBe(0)
  ledger.record({ event: 'broker_started' })
  const first = await ledger.head()
  expect(first).toMatchObject({ seq: 1, hash: expect.stringMatching(/^[0-9a-f]{64}$/) })
  await ledger.intend([anIntent()])
  expect((await ledger.head()).hash).not.toBe(first.hash)
  await ledger.close()
})

test('steady writes put off neither pruning nor the newest record, which covers all that came before', async () => {
  const ledger = await openFile(newFile())
  let written = 0
  const write = async () => {
    await ledger.intend([anIntent({ serialNumber: `0c${String(written).padStart(4, '0')}` })])
    written += 1
  }
  const writeOn = async () => {
    while (written < 200) await write()
  }
  await write()
  const writing = writeOn()
  ledger.record({ event: 'broker_started' })
  const head = ledger.head()
  const writtenMeanwhile = [head, ledger.prune(new Date(0))].map((asked) => asked.then(() => written))
  expect(Math.max(...(await Promise.all(writtenMeanwhile)))).toBeLessThan(10)
  expect((await head).seq).toBeGreaterThanOrEqual(3)
  await writing
  await ledger.close()
})

test('what nobody waits for is bounded by its size too', async () => {
  let lost = 0
  const ledger = await openFile(newFile(), { onLost: (_, count) => void (lost += count) })
  const codes = ['x'.repeat(1024 * 1024)]
  for (let index = 0; index < 40; index += 1) ledger.record({ event: 'issuance_refused', codes })
  await expect(ledger.intend([anIntent()])).rejects.toMatchObject({ code: 'overloaded' })
  expect(lost).toBeGreaterThan(20)
  await ledger.head()
  await ledger.intend([anIntent()])
  await ledger.close()
})

test('invariant 2: a full disk refuses the intent, says so, and recovers by itself', async () => {
  const file = newFile()
  const lost: number[] = []
  const ledger = await openFile(file, { maxPages: 14, onLost: (_, count) => void lost.push(count) })
  const many = Array.from({ length: 500 }, (_, index) => anIntent({ serialNumber: String(index).padStart(4, '0') }))
  ledger.record({ event: 'broker_started' })
  await expect(ledger.intend(many)).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining('full'),
  })
  expect(ledger.problem()).toContain('full')
  expect(lost).toEqual([1])
  await ledger.intend([anIntent()])
  expect(ledger.problem()).toBeUndefined()
  expect(await ledger.verify()).toBe(1)
  await ledger.close()
})

test('what waits when the worker ends is counted as lost, before anybody hears that it has ended', async () => {
  let lost = 0
  let lostBefore: number | undefined
  const ledger = await openFile(newFile(), {
    onLost: (_, count) => void (lost += count),
    onStopped: () => void (lostBefore = lost),
  })
  const sent = vi.spyOn(Worker.prototype, 'postMessage').mockImplementationOnce(function (this: Worker) {
    // What was sent is on its way to the disk; these wait for it.
    ledger.record({ event: 'broker_started' })
    ledger.conclude(['01', '02', '03'].map((serialNumber) => ({ serialNumber, outcome: 'issued' })))
    void this.terminate()
  })
  try {
    const intended = ledger.intend([anIntent()])
    ledger.record({ event: 'broker_started' })
    await expect(intended).rejects.toMatchObject({ code: 'store_unavailable' })
    expect([lostBefore, lost]).toEqual([1 + 1 + 3, 1 + 1 + 3])
  } finally {
    sent.mockRestore()
  }
  await ledger.close()
})

test('invariant 6: no token and no key is in the file', async () => {
  const file = await filled()
  expect(readFileSync(file).includes('eyJ')).toBe(false)
  expect(readFileSync(file).includes('PRIVATE KEY')).toBe(false)
})

test('invariant 2: what was awaited survives SIGKILL of the process', async () => {
  const file = newFile()
  const program = `
    const { SqliteLedger } = await import(${JSON.stringify(new URL('./sqlite-ledger.ts', import.meta.url).href)})
    const { systemClock } = await import(${JSON.stringify(new URL('../../core/runtime/system-clock.ts', import.meta.url).href)})
    const ledger = await SqliteLedger.open({ file: ${JSON.stringify(file)}, auditKey: { id: 'one', key: new Uint8Array(32).fill(1) }, clock: systemClock })
    const intent = JSON.parse(process.argv[1], (key, value) => (key.startsWith('not') ? new Date(value) : value))
    await ledger.intend([intent])
    ledger.conclude([{ serialNumber: intent.serialNumber, outcome: 'issued' }])
    process.kill(process.pid, 'SIGKILL')
  `
  const { signal, stderr } = spawnSync(process.execPath, [
    '--input-type=module',
    '-e',
    program,
    '--',
    JSON.stringify(anIntent()),
  ])
  expect(signal, stderr.toString()).toBe('SIGKILL')
  const ledger = await openFile(file)
  // The result may or may not have made it; either way it counts as issued.
  expect((await ledger.find('40aa01'))?.outcome).toMatch(/intended|issued/)
  await ledger.verify()
  await ledger.close()
})
