import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster } from './cluster/cluster.ts'
import { describeWatchedList } from './watched-list-behaviour.ts'

const NAMESPACE = `watched-list-${randomBytes(4).toString('hex')}`
const PATH = `/api/v1/namespaces/${NAMESPACE}/configmaps`
let cluster: Cluster

beforeAll(async () => {
  cluster = await attachCluster()
  await cluster.createNamespace(NAMESPACE)
})
afterAll(() => cluster.deleteNamespace(NAMESPACE))

describeWatchedList(() => ({
  kubeconfig: cluster.adminKubeconfig,
  path: PATH,
  write: async (name, value) => {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } }
    const { status } = await cluster.request('PUT', `${PATH}/${name}`, object)
    if (status === 404) await cluster.api('POST', PATH, object)
  },
  remove: (name) => cluster.api('DELETE', `${PATH}/${name}`),
}))
