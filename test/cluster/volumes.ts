import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { NODES, STATE_DIR } from './layout.ts'

/** The cluster's only StorageClass, and the default one. */
export const STORAGE_CLASS = 'shared'

const folderOf = (name: string): string => join(STATE_DIR, 'volumes', name)

/**
 * The objects of a volume that waits for a claim. It is a folder of this machine that both nodes see: so a pod takes its
 * volume along to another node, as it would with a cloud's disks. Of kind `local`, since kubelet gives such a one to the
 * pod's `fsGroup`, which it does not do with `hostPath`.
 */
export async function createVolume(name: string, size: string): Promise<object[]> {
  await mkdir(folderOf(name), { recursive: true })
  const hosts = { key: 'kubernetes.io/hostname', operator: 'In', values: NODES.map((node) => node.name) }
  return [
    {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: STORAGE_CLASS, annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
      provisioner: 'kubernetes.io/no-provisioner',
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name },
      spec: {
        capacity: { storage: size },
        accessModes: ['ReadWriteOnce'],
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: STORAGE_CLASS,
        local: { path: folderOf(name) },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [hosts] }] } },
      },
    },
  ]
}

export async function deleteVolumeFolder(name: string): Promise<void> {
  await rm(folderOf(name), { recursive: true, force: true })
}
