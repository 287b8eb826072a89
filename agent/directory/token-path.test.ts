import { chmod, chown, lchown, mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { readDeclaredToken } from './declared-token.ts'
import { tokenPath } from './token-path.ts'

const STRANGER = 54_321

let directory: string
const at = (...names: string[]) => join(directory, ...names)

beforeEach(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), 'token-path-')))
  await mkdir(at('others'))
  const claims = { namespace: 'bank', pod: { name: 'bank', uid: 'uid-of-bank' }, serviceaccount: { name: 'bank' } }
  const payload = Buffer.from(JSON.stringify({ 'kubernetes.io': claims })).toString('base64url')
  await writeFile(at('others', 'token'), `e30.${payload}.sig`)
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(directory, { recursive: true })
})

/** A link of a user who is neither root nor the agent's: only root can make one, and for others we are somebody else. */
async function strangersLink(target: string, path: string): Promise<void> {
  await symlink(target, path)
  if (process.geteuid?.() === 0) await lchown(path, STRANGER, STRANGER)
  else vi.spyOn(process, 'geteuid').mockReturnValue(STRANGER)
}

test.for([
  { name: 'in place of the file', path: ['mine'], make: () => strangersLink(at('others', 'token'), at('mine')) },
  { name: 'in place of its folder', path: ['mine', 'token'], make: () => strangersLink('others', at('mine')) },
  {
    name: 'behind one that may be followed',
    path: ['link'],
    make: async () => {
      await symlink('mine/../mine/token', at('link'))
      await strangersLink('others', at('mine'))
    },
  },
])("a stranger's link to another workload's token is refused: $name", async ({ path, make }) => {
  await make()
  const refused = await readDeclaredToken(at(...path)).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'config_invalid', message: expect.stringContaining(`${at('mine')} is a link`) })
})

test("the links of root and of the agent's own user are followed, as kubelet's layout needs it", async () => {
  await mkdir(at('volume', '..2026'), { recursive: true })
  await rename(at('others', 'token'), at('volume', '..2026', 'token'))
  await symlink('..2026', at('volume', '..data'))
  await symlink('..data/token', at('volume', 'token'))
  await symlink(at('volume'), at('absolute'))
  expect(await tokenPath(at('absolute', '.', 'token'))).toBe(at('volume', '..2026', 'token'))
  expect((await readDeclaredToken(at('absolute', 'token'))).pod.podUid).toBe('uid-of-bank')
})

test('links in a circle end', async () => {
  await symlink('one', at('other'))
  await symlink('other', at('one'))
  await expect(readDeclaredToken(at('one'))).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('ELOOP'),
  })
})

test('a token that is replaced all the time is read all the same', async () => {
  const text = 'e30.e30.sig'
  let done = false
  const replacing = (async () => {
    while (!done) {
      await writeFile(at('next'), text)
      await rename(at('next'), at('token'))
    }
  })()
  await vi.waitFor(() => realpath(at('token')))
  for (let count = 0; count < 200; count += 1) {
    await expect(readDeclaredToken(at('token'))).rejects.toMatchObject({ code: 'token_unbound' })
  }
  done = true
  await replacing
})

test.for([
  { name: 'in a folder that others may write in', unsafe: ['open'], mode: 0o777 },
  { name: 'in a folder of a group', unsafe: ['open'], mode: 0o770 },
  { name: 'below one', unsafe: [], mode: 0o777 },
])('a link that others may replace is not followed: $name', async ({ unsafe, mode }) => {
  await mkdir(at('open'))
  await symlink(at('others', 'token'), at('open', 'mine'))
  await chmod(at(...unsafe), mode)
  await expect(readDeclaredToken(at('open', 'mine'))).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('may replace'),
  })
  // Where nobody may rename what is not his, as in the folder of an emptyDir, it is.
  await chmod(at(...unsafe), 0o1777)
  expect(await tokenPath(at('open', 'mine'))).toBe(at('others', 'token'))
})

test.runIf(process.geteuid?.() === 0)('nor is one in a folder of a stranger', async () => {
  await mkdir(at('theirs', 'mine'), { recursive: true })
  await symlink(at('others', 'token'), at('theirs', 'mine', 'token'))
  await chown(at('theirs'), STRANGER, STRANGER)
  await expect(readDeclaredToken(at('theirs', 'mine', 'token'))).rejects.toMatchObject({ code: 'config_invalid' })
})
