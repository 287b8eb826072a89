import { mkdtempSync, symlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import { type Certificate, parseCertificate } from '../../core/pki/certificate.ts'
import { pemDecode } from '../../core/pki/pem.ts'
import { splitDerCertificates } from '../../core/spiffe/bundle.ts'
import { SpiffeWorkloadAPI } from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import { serviceClient } from '../../proto/grpc-client.ts'
import { waitFor, type WaitOptions } from '../cluster/base/wait.ts'
import type { ClusterNode } from '../cluster/cluster-node.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { STATE_DIR } from '../cluster/layout.ts'
import { CSI_DRIVER } from './agent-process.ts'
import { volumeName } from './identity-pod.ts'

/** It goes with the cluster. */
const shortDirectory = mkdtempSync(join(STATE_DIR, 'volumes-'))
let volumes = 0

/** The volume of a pod, as this machine reaches it: what the pod's container sees at its mount path. */
export class PodVolume {
  readonly name: string
  /** As the node sees it, and kubelet calls it. */
  readonly targetPath: string
  readonly path: string
  /** A short way to the same: the path of a socket may have 107 bytes. */
  readonly shortPath: string

  constructor(node: ClusterNode, podUid: string, name: string) {
    this.name = name
    this.targetPath = join(node.podDir(podUid), 'volumes', 'kubernetes.io~csi', name, 'mount')
    this.path = node.insidePath(this.targetPath)
    this.shortPath = join(shortDirectory, `${(volumes += 1)}`)
    symlinkSync(this.path, this.shortPath)
  }

  /** The leaf in `tls.crt`. */
  async leaf(): Promise<Certificate> {
    const [leaf] = pemDecode(await readFile(join(this.path, 'tls.crt'), 'utf8'))
    return parseCertificate(leaf?.der ?? new Uint8Array())
  }

  async serialNumber(): Promise<string> {
    return (await this.leaf()).serialNumber
  }

  /** Waits until the files hold another certificate than the one of this serial number. */
  async renewedAfter(serialNumber: string, options?: WaitOptions): Promise<Certificate> {
    return waitFor(
      `another SVID in ${this.targetPath}`,
      async () => {
        const leaf = await this.leaf()
        return leaf.serialNumber !== serialNumber && leaf
      },
      options,
    )
  }

  /** The key identifiers of the authorities in `ca.crt`. */
  async authorities(): Promise<string[]> {
    return pemDecode(await readFile(join(this.path, 'ca.crt'), 'utf8')).map(({ der }) => keyIdOf(der))
  }

  /** What the Workload API on the pod's socket says first, on a new connection. */
  async fetch(): Promise<{ readonly leaf: Certificate; readonly authorities: readonly string[] }> {
    const client = new Client(`unix:${join(this.shortPath, 'socket')}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    })
    const signal = AbortSignal.timeout(5_000)
    const api = serviceClient(SpiffeWorkloadAPI, client, Date.now)
    try {
      const stream = api.fetchX509SVID({}, { metadata: { 'workload.spiffe.io': 'true' }, signal })
      for await (const { svids } of stream) {
        const [svid] = svids
        if (!svid) throw new Error('the Workload API sent no SVID')
        const [leaf] = splitDerCertificates(svid.x509Svid)
        const authorities = splitDerCertificates(svid.bundle).map(keyIdOf)
        return { leaf: parseCertificate(leaf ?? new Uint8Array()), authorities }
      }
      throw new Error('the Workload API said nothing')
    } finally {
      client.close()
    }
  }

  async fetchSerialNumber(): Promise<string> {
    return (await this.fetch()).leaf.serialNumber
  }
}

function keyIdOf(der: Uint8Array): string {
  return parseCertificate(der).subjectKeyIdentifier?.toString('hex') ?? ''
}

/** The volumes of a pod that runs. */
export async function volumesOf(cluster: Cluster, namespace: string, pod: string, count = 1): Promise<PodVolume[]> {
  const { metadata, spec } = await cluster.pod(namespace, pod)
  const node = cluster.nodes.find(({ name }) => name === spec.nodeName)
  if (!node) throw new Error(`${pod} is on no node`)
  return Array.from({ length: count }, (_, index) => new PodVolume(node, metadata.uid, volumeName(index)))
}

/** The target paths that are mounted on a node by the driver; one that is mounted twice is there twice. */
export async function mountedTargets(node: ClusterNode): Promise<string[]> {
  const mountinfo = await readFile(`/proc/${node.placement.mountOf}/mountinfo`, 'utf8')
  return mountinfo
    .split('\n')
    .filter((line) => line.includes(` - tmpfs ${CSI_DRIVER} `))
    .map((line) => line.split(' ')[4] ?? '')
}
