import { readFile, writeFile } from 'node:fs/promises'
import { parse } from 'yaml'
import type { Cluster } from '../cluster/cluster.ts'

/** Writes a kubeconfig for the cluster whose user is a ServiceAccount, good for an hour. */
export async function writeKubeconfig(
  cluster: Cluster,
  file: string,
  user: { readonly namespace: string; readonly serviceAccount: string },
): Promise<void> {
  const token = await cluster.createToken(user)
  const config = parse(await readFile(cluster.adminKubeconfig, 'utf8')) as { users: { name: string }[] }
  const users = config.users.map(({ name }) => ({ name, user: { token } }))
  await writeFile(file, JSON.stringify({ ...config, users }), { mode: 0o600 })
}
