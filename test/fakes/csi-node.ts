import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { create } from '@bufbuild/protobuf'
import { recoverVolumes, type Recovered } from '../../agent/csi/recovery.ts'
import type { TargetPath } from '../../agent/csi/target-path.ts'
import { VolumeRecords } from '../../agent/csi/volume-records.ts'
import { Volumes } from '../../agent/csi/volumes.ts'
import { TmpfsPlace } from '../../agent/volume/tmpfs-place.ts'
import { VolumeDelivery } from '../../agent/volume/volume-delivery.ts'
import type { Delivered } from '../../agent/workloads/workload.ts'
import { createLog } from '../../core/runtime/log.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { NodeUnpublishVolumeRequestSchema } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import { someDelivered } from './delivered.ts'
import { FakeMounter } from './fake-mounter.ts'
import { FakeWorkloads } from './fake-workloads.ts'
import { AUDIENCE, type PublishChange, publishRequest, VOLUME_ID } from './publish-requests.ts'

const log = createLog('agent', 'silent')

/** A node with one pod's volume and the agent's half of CSI, which may be started anew as after a kill. */
export class CsiNode {
  readonly mounter = new FakeMounter()
  readonly root: string
  readonly delivered: Delivered
  maxVolumesPerPod = 3
  records: VolumeRecords
  workloads: FakeWorkloads
  volumes: Volumes

  private constructor(root: string, delivered: Delivered, records: VolumeRecords) {
    this.root = root
    this.delivered = delivered
    this.records = records
    this.workloads = new FakeWorkloads(() => Promise.resolve(delivered))
    this.volumes = this.#newVolumes()
  }

  static async create(): Promise<CsiNode> {
    const root = await mkdtemp(join(tmpdir(), 'csi-'))
    const node = new CsiNode(root, await someDelivered(), await VolumeRecords.open(join(root, 'state')))
    await mkdir(dirname(node.target), { recursive: true })
    // A short way to the socket: the whole path can be longer than the 107 octets of unix(7).
    await symlink(dirname(node.target), join(root, 'identity'))
    await node.writeVolumeData()
    return node
  }

  get target(): string {
    return publishRequest(this.root).targetPath
  }

  /** What kubelet writes beside the mount before every publish. */
  writeVolumeData(
    text = JSON.stringify({ driverName: 'csi.countersign.dev', volumeHandle: VOLUME_ID }),
  ): Promise<void> {
    return writeFile(this.volumeData, text)
  }

  get volumeData(): string {
    return join(dirname(this.target), 'vol_data.json')
  }

  publish(change: PublishChange = {}): Promise<void> {
    return this.volumes.publish(publishRequest(this.root, change))
  }

  unpublish(): Promise<void> {
    const { target: targetPath } = this
    return this.volumes.unpublish(create(NodeUnpublishVolumeRequestSchema, { volumeId: VOLUME_ID, targetPath }))
  }

  /** The agent is killed and another started: of the one before nothing more runs. */
  async restart(): Promise<void> {
    await this.workloads.close()
    this.records = await VolumeRecords.open(join(this.root, 'state'))
    this.workloads = new FakeWorkloads(() => Promise.resolve(this.delivered))
    this.volumes = this.#newVolumes()
  }

  recover(): Promise<Recovered> {
    const { volumes, records, mounter } = this
    return recoverVolumes({ volumes, records, mounter, deliverTo: this.deliverTo, settings: this.#settings() }, log)
  }

  readonly deliverTo = (to: TargetPath, gid: number | undefined): VolumeDelivery =>
    new VolumeDelivery({
      place: new TmpfsPlace(to, this.mounter, systemClock),
      readers: gid ?? 'everyone',
      clock: systemClock,
    })

  /** What the pod's containers see. */
  async names(): Promise<string[]> {
    return (await readdir(this.target)).filter((name) => !name.startsWith('..')).toSorted()
  }

  askSocket(): Promise<string> {
    return text(connect(join(this.root, 'identity', 'mount', 'socket')))
  }

  async remove(): Promise<void> {
    await this.workloads.close()
    await rm(this.root, { recursive: true })
  }

  #settings() {
    return { kubeletDirectory: this.root, audience: AUDIENCE, maxVolumesPerPod: this.maxVolumesPerPod }
  }

  #newVolumes(): Volumes {
    const { workloads, records, deliverTo } = this
    return new Volumes({ workloads, records, deliverTo, settings: this.#settings(), log })
  }
}
