import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLog } from '../../core/runtime/log.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { FakeDelivery } from '../../test/fakes/fake-delivery.ts'
import type { PodRef, WorkloadRequest } from '../workloads/workload.ts'
import { DeliveredNames } from './delivered-names.ts'
import type { Readers } from '../volume/readers.ts'
import { DeclaredWorkloads } from './declared-workloads.ts'

const REREAD = 1_000

class Target {
  readonly calls: string[] = []
  readonly held = new Map<string, WorkloadRequest>()
  refuse: IdentityError | undefined

  has(id: string): boolean {
    return this.held.has(id)
  }
  async add(request: WorkloadRequest): Promise<void> {
    this.calls.push(`add ${request.id}`)
    if (this.refuse) throw this.refuse
    this.held.set(request.id, request)
  }
  async recover(request: WorkloadRequest): Promise<void> {
    this.calls.push(`recover ${request.id} ${request.token === undefined ? 'without' : 'with'} token`)
    this.held.set(request.id, request)
  }
  refreshToken(id: string, token: string, pod: PodRef): void {
    this.calls.push(`token ${id} ${token.split('.')[2]}`)
    const request = this.held.get(id)
    if (request) this.held.set(id, { ...request, pod })
  }
  async remove(id: string): Promise<void> {
    this.calls.push(`remove ${id}`)
    this.held.delete(id)
  }
}

let directory: string
let clock: FakeClock
let target: Target
let declared: DeclaredWorkloads
let existing: Set<string>
/** Whom a former run left the folders open to. */
let left: Readers
/** Why no folder can be looked at. */
let unreadable: IdentityError | undefined
let deliveries: Map<string, FakeDelivery>
/** For whom folders were made, and which were shut later. */
let admitted: [string, Readers, when: 'made' | 'later'][]
let namesFile: string
const log = createLog('test', 'silent')

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'declared-'))
  clock = new FakeClock()
  target = new Target()
  existing = new Set()
  left = 'owner'
  unreadable = undefined
  deliveries = new Map()
  admitted = []
  namesFile = join(directory, 'state', 'names')
  declared = new DeclaredWorkloads(
    { directory, rereadMs: REREAD },
    {
      target,
      deliverTo: (name, readers) => {
        admitted.push([name, readers, 'made'])
        const delivery = Object.assign(new FakeDelivery(), {
          exists: async () => {
            if (unreadable) throw unreadable
            return existing.has(name)
          },
          admits: async (others: Readers) => others === left,
          shut: async () => void admitted.push([name, 'owner', 'later']),
        })
        deliveries.set(name, delivery)
        return delivery
      },
      delivered: new DeliveredNames(namesFile),
      clock,
      log,
    },
  )
})

afterEach(async () => {
  await declared.stop()
  await rm(directory, { recursive: true, force: true })
})

async function declare(name: string, signature = 'first', podUid = `uid-of-${name}`, more = ''): Promise<void> {
  const claims = { namespace: 'shop', pod: { name, uid: podUid }, serviceaccount: { name } }
  const payload = Buffer.from(JSON.stringify({ 'kubernetes.io': claims })).toString('base64url')
  await writeFile(join(directory, `${name}.token`), `e30.${payload}.${signature}\n`)
  await writeFile(join(directory, `${name}.yaml`), `name: ${name}\ntokenFile: ${name}.token\n${more}`)
}

/** Lets the folder be read again, and waits until `look` holds. */
async function reread(look: () => void): Promise<void> {
  await vi.waitFor(async () => {
    await clock.advance(REREAD)
    look()
  })
}

test('who is declared is added with its pod and token; who no longer is, removed', async () => {
  await declare('cart')
  declared.start()
  await reread(() => expect(target.calls).toEqual(['add cart']))
  expect(target.held.get('cart')).toMatchObject({
    pod: { podUid: 'uid-of-cart', podName: 'cart', namespace: 'shop', serviceAccount: 'cart' },
  })
  await declare('payments')
  await reread(() => expect(target.calls).toEqual(['add cart', 'add payments']))
  await rm(join(directory, 'cart.yaml'))
  await reread(() => expect(target.calls.at(-1)).toBe('remove cart'))
})

test('a token is handed on when it changes, and only then', async () => {
  await declare('cart')
  declared.start()
  await reread(() => expect(target.held.has('cart')).toBe(true))
  await clock.advance(5 * REREAD)
  await declare('cart', 'second')
  await reread(() => expect(target.calls).toEqual(['add cart', 'token cart second']))
})

test.for(['pipe', 'device that never ends'])('a token file that is a %s holds nobody else up', async (kind) => {
  await declare('billing')
  await declare('cart')
  const tokenFile = join(directory, 'billing.token')
  await rm(tokenFile)
  if (kind === 'pipe') execFileSync('mkfifo', [tokenFile])
  else await symlink('/dev/zero', tokenFile)
  declared.start()
  await reread(() => expect(target.calls).toEqual(['add cart']))
  expect(declared.problems).toEqual([expect.stringContaining('billing.token cannot be read: not a file')])
})

test('what a former run delivered is taken up without a token, then gets it', async () => {
  await declare('cart')
  await declare('payments')
  existing.add('cart')
  await declared.recover()
  expect(target.calls).toEqual(['recover cart without token'])
  declared.start()
  await reread(() =>
    expect(target.calls.toSorted()).toEqual(['add payments', 'recover cart without token', 'token cart first']),
  )
})

test('what cannot be looked at for now is taken up later, and not added: a refusal would empty it', async () => {
  await declare('cart')
  existing.add('cart')
  const recover = target.recover.bind(target)
  let failures = 2
  target.recover = async (request) => {
    await recover(request)
    if (failures-- === 0) return
    target.held.delete(request.id)
    throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE', syscall: 'open' })
  }
  await declared.recover()
  declared.start()
  await reread(() => expect(target.calls).toContain('token cart first'))
  expect(target.calls).toEqual([...Array.from({ length: 3 }, () => 'recover cart without token'), 'token cart first'])
})

test('what could not be looked at and is declared no more goes all the same', async () => {
  await declare('cart')
  existing.add('cart')
  target.recover = async () => {
    throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE', syscall: 'open' })
  }
  await declared.recover()
  await rm(join(directory, 'cart.yaml'))
  declared.start()
  await reread(() => expect(deliveries.get('cart')?.calls).toContain('remove'))
})

test('what is taken up while its token cannot be read is the pod of its first token', async () => {
  await declare('cart')
  existing.add('cart')
  await rm(join(directory, 'cart.token'))
  await declared.recover()
  expect(target.held.get('cart')?.pod.podUid).toBe('')
  declared.start()
  await reread(() => expect(declared.problems).toHaveLength(1))
  await declare('cart')
  await reread(() => expect(target.calls).toEqual(['recover cart without token', 'token cart first']))
  expect(target.held.get('cart')?.pod).toEqual({
    podUid: 'uid-of-cart',
    podName: 'cart',
    namespace: 'shop',
    serviceAccount: 'cart',
  })
  // Another pod under the old name is another workload, as ever.
  await declare('cart', 'first', 'another-uid')
  await reread(() => expect(target.calls.slice(2)).toEqual(['remove cart', 'add cart']))
})

test('a token that names no pod is none', async () => {
  await declare('cart', 'first', '')
  declared.start()
  await reread(() => expect(declared.problems).toEqual([expect.stringContaining('cart: token_unbound: ')]))
  expect(target.calls).toEqual([])
})

test('what was declared once and is no more goes with the next start', async () => {
  const before = new DeliveredNames(namesFile)
  await Promise.all([before.add('cart', 'uid-of-cart'), before.add('gone', 'uid-of-gone')])
  await declare('cart')
  existing.add('cart')
  await declared.recover()
  expect(deliveries.get('gone')?.calls).toEqual(['remove'])
  expect(deliveries.get('cart')?.calls).toEqual([])
  expect(await new DeliveredNames(namesFile).read()).toEqual(['cart'])
})

test('another pod under the old name is another workload', async () => {
  await declare('cart')
  declared.start()
  await reread(() => expect(target.held.has('cart')).toBe(true))
  await declare('cart', 'first', 'another-uid')
  await reread(() => expect(target.calls).toEqual(['add cart', 'remove cart', 'add cart']))
})

test('who may read no longer reads at once; for others all is made anew, once a token says whose it is', async () => {
  await declare('cart')
  declared.start()
  await reread(() => expect(target.held.has('cart')).toBe(true))
  expect(admitted).toEqual([['cart', 'owner', 'made']])
  await declare('cart', 'first', 'uid-of-cart', 'group: 42\n')
  await reread(() => expect(admitted.at(-1)).toEqual(['cart', 42, 'made']))
  await reread(() => expect(target.calls).toEqual(['add cart', 'remove cart', 'add cart']))
  await rm(join(directory, 'cart.token'))
  await writeFile(join(directory, 'cart.yaml'), 'name: cart\ntokenFile: cart.token\nreaders: everyone\n')
  // Who loses it loses it at once; who is to have it waits for a token that says whose it is.
  await reread(() => expect(admitted.at(-1)).toEqual(['cart', 'owner', 'later']))
  await clock.advance(5 * REREAD)
  expect(admitted).toHaveLength(3)
  await declare('cart', 'first', 'uid-of-cart', 'readers: everyone\n')
  await reread(() => expect(admitted.at(-1)).toEqual(['cart', 'everyone', 'made']))
  await clock.advance(5 * REREAD)
  expect(admitted).toHaveLength(4)
  expect(target.calls.slice(3)).toEqual(['remove cart', 'add cart'])
  // Taking it from them needs nothing to be made.
  await declare('cart')
  await reread(() => expect(admitted.at(-1)).toEqual(['cart', 'owner', 'later']))
  await clock.advance(5 * REREAD)
  expect(target.calls).toHaveLength(5)
})

test('what could not be taken from its readers is tried again, and not theirs by a declaration that comes back', async () => {
  await declare('cart', 'first', 'uid-of-cart', 'group: 42\n')
  declared.start()
  await reread(() => expect(target.held.has('cart')).toBe(true))
  const delivery = deliveries.get('cart')
  if (!delivery) throw new Error('nothing was delivered')
  let tries = 0
  Object.assign(delivery, {
    shut: async () => {
      tries += 1
      throw Object.assign(new Error('EPERM'), { code: 'EPERM' })
    },
  })
  await declare('cart')
  await reread(() => expect(tries).toBeGreaterThan(1))
  expect(declared.unserved).toBe(1)
  await declare('cart', 'first', 'uid-of-cart', 'group: 42\n')
  await reread(() => expect(declared.problems).toHaveLength(1))
  expect(target.calls).toEqual(['add cart'])
})

test('a token that the broker does not believe takes the pod that it names from nobody', async () => {
  const add = target.add.bind(target)
  target.add = async (request) => {
    if (request.id !== 'evil') return add(request)
    target.calls.push('add evil')
    throw new IdentityError('token_signature_invalid', 'forged')
  }
  await declare('evil', 'forged', 'uid-of-victim')
  declared.start()
  await reread(() => expect(target.calls).toContain('add evil'))
  await declare('victim')
  await reread(() => expect(target.calls).toContain('add victim'))
  await reread(() => expect(declared.problems).toEqual([expect.stringContaining('evil: config_invalid: ')]))
  expect(target.held.has('victim')).toBe(true)
})

test("another pod's readers never get the files of the one before, whenever its token comes", async () => {
  await declare('cart', 'first', 'one', 'group: 42\n')
  declared.start()
  await reread(() => expect(target.held.has('cart')).toBe(true))
  await rm(join(directory, 'cart.token'))
  await writeFile(join(directory, 'cart.yaml'), 'name: cart\ntokenFile: cart.token\ngroup: 43\n')
  await reread(() => expect(admitted.at(-1)).toEqual(['cart', 'owner', 'later']))
  const first = deliveries.get('cart')
  await declare('cart', 'first', 'two', 'group: 43\n')
  await reread(() => expect(target.calls).toEqual(['add cart', 'remove cart', 'add cart']))
  expect(deliveries.get('cart')).not.toBe(first)
  expect(admitted).toEqual([
    ['cart', 42, 'made'],
    ['cart', 'owner', 'later'],
    ['cart', 43, 'made'],
  ])
})

describe('what a former run delivered', () => {
  const recorded = (podUid: string) => new DeliveredNames(namesFile).add('cart', podUid)
  const formerly = async (...names: string[]) => {
    await mkdir(dirname(namesFile), { recursive: true })
    await writeFile(namesFile, JSON.stringify({ version: 1, names }))
  }
  beforeEach(() => existing.add('cart'))

  test('is not touched where its readers are the same', async () => {
    await recorded('uid-of-cart')
    await declare('cart')
    await declared.recover()
    declared.start()
    await reread(() => expect(target.calls).toEqual(['recover cart without token', 'token cart first']))
    expect(admitted).toEqual([['cart', 'owner', 'made']])
  })

  test('is closed at once to readers that are declared no more, and made anew for others once a token has come', async () => {
    left = 42
    await recorded('uid-of-cart')
    await declare('cart', 'first', 'uid-of-cart', 'group: 43\n')
    await rm(join(directory, 'cart.token'))
    await declared.recover()
    expect(admitted.slice(1)).toEqual([['cart', 'owner', 'later']])
    expect(target.held.get('cart')?.pod.podUid).toBe('uid-of-cart')
    declared.start()
    await reread(() => expect(declared.problems).toHaveLength(1))
    await declare('cart', 'first', 'uid-of-cart', 'group: 43\n')
    await reread(() => expect(target.calls).toEqual(['recover cart without token', 'remove cart', 'add cart']))
    expect(admitted.at(-1)).toEqual(['cart', 43, 'made'])
  })

  test.for(['at once', 'later'])('is removed where a token says that it is of another pod: %s', async (when) => {
    await recorded('another')
    await declare('cart', 'first', 'uid-of-cart', 'group: 43\n')
    if (when === 'later') await rm(join(directory, 'cart.token'))
    await declared.recover()
    const taken = when === 'later' ? ['recover cart without token', 'remove cart'] : []
    declared.start()
    await declare('cart', 'first', 'uid-of-cart', 'group: 43\n')
    await reread(() => expect(target.calls).toEqual([...taken, 'add cart']))
    if (when === 'at once') expect(admitted.map(([, , how]) => how)).toEqual(['made', 'later', 'made'])
    expect(await new DeliveredNames(namesFile).read()).toEqual(['cart'])
  })

  test('by an agent that did not record whose it is, stays with the readers it had and goes to no others', async () => {
    await formerly('cart')
    await declare('cart')
    await declared.recover()
    declared.start()
    await reread(() => expect(target.calls).toEqual(['recover cart without token', 'token cart first']))
    await declare('cart', 'first', 'uid-of-cart', 'group: 43\n')
    await reread(() => expect(target.calls.slice(2)).toEqual(['remove cart', 'add cart']))
  })

  test('by such an agent goes at once where it is for others to read since', async () => {
    left = 42
    await formerly('cart')
    await declare('cart', 'first', 'uid-of-cart', 'readers: everyone\n')
    await declared.recover()
    expect(deliveries.get('cart')?.calls).toContain('remove')
    expect(target.calls).toEqual([])
  })

  test('that cannot be looked at is not written down as the next pod’s', async () => {
    await recorded('another')
    await declare('cart', 'first', 'uid-of-cart', 'group: 43\n')
    unreadable = new IdentityError('volume_tampered', 'others may write it')
    await declared.recover()
    declared.start()
    await reread(() => expect(declared.problems).toEqual([expect.stringContaining('cart: volume_tampered: ')]))
    const names = new DeliveredNames(namesFile)
    await names.read()
    expect(names.podOf('cart')).toBe('another')
    unreadable = undefined
    await reread(() => expect(target.calls).toEqual(['add cart']))
  })

  test('is taken up, and not covered, when a declaration that could not be read can be again', async () => {
    await recorded('uid-of-cart')
    await declare('cart')
    await writeFile(join(directory, 'cart.yaml'), '{')
    await declared.recover()
    declared.start()
    await declare('cart')
    await reread(() => expect(target.calls).toEqual(['recover cart without token', 'token cart first']))
  })
})

describe('a declaration that says whose its token must be', () => {
  const PINS = 'namespace: shop\nserviceAccount: cart\n'

  test('has it served where the token is', async () => {
    await declare('cart', 'first', 'uid-of-cart', PINS)
    declared.start()
    await reread(() => expect(target.calls).toEqual(['add cart']))
    expect(declared.problems).toEqual([])
  })

  test.for([
    ['serviceAccount: checkout\n', 'ServiceAccount checkout,'],
    ['namespace: bank\n', 'namespace bank,'],
    ['namespace: bank\nserviceAccount: cart\n', 'ServiceAccount cart in namespace bank,'],
  ] as const)('refuses another, and says which was expected: %s', async ([pins, says]) => {
    await declare('cart', 'first', 'uid-of-cart', pins)
    declared.start()
    await reread(() => expect(declared.problems).toEqual([expect.stringContaining('cart: workload_mismatch: ')]))
    expect(declared.problems[0]).toContain(says)
    expect(declared.problems[0]).not.toContain('uid-of-cart')
    expect(target.calls).toEqual([])
  })

  test('keeps what it has when another token is put there, and takes it away when that itself is not what is declared', async () => {
    await declare('cart', 'first', 'uid-of-cart', PINS)
    declared.start()
    await reread(() => expect(target.calls).toEqual(['add cart']))
    await declare('bank', 'stolen', 'uid-of-bank')
    await rm(join(directory, 'bank.yaml'))
    await rename(join(directory, 'bank.token'), join(directory, 'cart.token'))
    await reread(() => expect(declared.problems).toHaveLength(1))
    expect(target.calls).toEqual(['add cart'])
    await declare('cart', 'first', 'uid-of-cart', 'serviceAccount: checkout\n')
    await reread(() => expect(target.calls).toEqual(['add cart', 'remove cart']))
    expect(declared.problems).toEqual([expect.stringContaining('workload_mismatch')])
  })
})

describe('two declarations of one pod', () => {
  const both = [
    expect.stringContaining('cart: config_invalid: its token names the same pod as that of copy'),
    expect.stringContaining('copy: config_invalid: its token names the same pod as that of cart'),
  ]

  test('are both refused', async () => {
    await declare('cart')
    await declare('copy', 'first', 'uid-of-cart')
    await declare('other')
    declared.start()
    await reread(() => expect(declared.problems).toEqual(both))
    expect(target.calls).toEqual(['add other'])
    expect(declared.unserved).toBe(2)
  })

  test('leave the one that was served before with its renewals', async () => {
    await declare('cart')
    declared.start()
    await reread(() => expect(target.calls).toEqual(['add cart']))
    await declare('copy', 'first', 'uid-of-cart')
    await reread(() => expect(declared.problems).toEqual(both))
    await declare('cart', 'second')
    await reread(() => expect(target.calls).toEqual(['add cart', 'token cart second']))
    await rm(join(directory, 'cart.token'))
    await reread(() => expect(declared.problems[0]).toContain('ENOENT'))
    expect(target.calls).toEqual(['add cart', 'token cart second'])
  })

  test('leave neither with them where both were served by an agent that did not mind', async () => {
    await declare('cart')
    await declare('copy', 'first', 'uid-of-cart')
    existing.add('cart').add('copy')
    await declared.recover()
    declared.start()
    await reread(() => expect(declared.problems).toEqual(both))
    expect(target.calls).toEqual(['recover cart without token', 'recover copy without token'])
  })
})

test('who is refused is tried again with the next reading, and each reason told once', async () => {
  const warn = vi.spyOn(log, 'warn')
  target.refuse = new IdentityError('template_not_matched', 'no')
  await declare('cart')
  declared.start()
  await reread(() => expect(target.calls.length).toBeGreaterThan(2))
  expect(warn).toHaveBeenCalledTimes(1)
  target.refuse = new IdentityError('template_ambiguous', 'two')
  await reread(() => expect(warn).toHaveBeenCalledTimes(2))
  expect(declared.unserved).toBe(1)
  target.refuse = undefined
  await reread(() => expect(target.held.has('cart')).toBe(true))
  expect(declared.unserved).toBe(0)
})

test('what cannot be served is counted once, however much is wrong with it, until it is mended or gone', async () => {
  target.refuse = new IdentityError('template_not_matched', 'no')
  await declare('refused')
  await declare('without-token')
  await rm(join(directory, 'without-token.token'))
  await writeFile(join(directory, 'unreadable.yaml'), '{')
  declared.start()
  await reread(() => expect(declared.unserved).toBe(3))
  await rm(join(directory, 'refused.token'))
  await reread(() => expect(declared.problems).toHaveLength(3))
  expect(declared.unserved).toBe(3)
  await rm(join(directory, 'unreadable.yaml'))
  await rm(join(directory, 'refused.yaml'))
  await reread(() => expect(declared.unserved).toBe(1))
  target.refuse = undefined
  await declare('without-token')
  await reread(() => expect(target.held.has('without-token')).toBe(true))
  expect(declared.unserved).toBe(0)
})

describe('what cannot be read', () => {
  test.for([
    { name: 'a file that is no YAML', file: 'x.yaml', text: '{', problem: 'x.yaml' },
    { name: 'a name that is none', file: 'x.yaml', text: 'name: ../x\ntokenFile: t', problem: 'name: is not' },
    { name: 'a key that nobody knows', file: 'x.yaml', text: 'name: x\ntokenFile: t\nmore: 1', problem: 'more' },
    {
      name: 'a group, and everyone',
      file: 'x.yaml',
      text: 'name: x\ntokenFile: t\ngroup: 42\nreaders: everyone',
      problem: 'readers: is everyone',
    },
    {
      name: 'a name that is taken',
      file: 'x.yaml',
      text: 'name: cart\ntokenFile: cart.token',
      problem: 'declares cart already',
    },
  ])('is told and removes nobody: $name', async ({ file, text, problem }) => {
    await declare('cart')
    declared.start()
    await reread(() => expect(target.held.has('cart')).toBe(true))
    await writeFile(join(directory, file), text)
    if (!text.includes('name: cart')) await rm(join(directory, 'cart.yaml'))
    await reread(() => expect(declared.problems.join()).toContain(problem))
    expect(target.calls).toEqual(['add cart'])
  })

  test.for([
    { name: 'no token', token: undefined, code: 'config_invalid', says: 'cart.token cannot be read: ENOENT' },
    { name: 'no JWT', token: 'rubbish', code: 'token_malformed', says: 'cart.token holds no JWT' },
    { name: 'no pod in it', token: 'e30.e30.sig', code: 'token_unbound', says: 'cart.token is not bound to a pod' },
    { name: 'too large', token: 'x'.repeat(20_000), code: 'token_too_large', says: 'cart.token is larger than 16 KiB' },
  ])('is told by its code, and the token stays unsaid: $name', async ({ token, code, says }) => {
    await declare('cart')
    await rm(join(directory, 'cart.token'))
    if (token !== undefined) await writeFile(join(directory, 'cart.token'), token)
    declared.start()
    await reread(() => expect(declared.problems).toHaveLength(1))
    expect(declared.problems[0]).toMatch(`cart: ${code}: `)
    expect(declared.problems[0]).toMatch(says)
    expect(declared.problems[0]).not.toMatch(/rubbish|e30|xxx/)
    expect(target.calls).toEqual([])
  })
})
