import type { Socket } from 'node:net'
import type { Delivered, Delivery, SvidMaterial } from '../../agent/workloads/workload.ts'

/** A volume in memory. */
export class FakeDelivery implements Delivery {
  readonly written: Delivered[] = []
  readonly calls: string[] = []
  /** What a former agent left. */
  found: SvidMaterial | undefined
  /** Throws to fail a write; a test may hold it back. */
  beforeWrite: () => Promise<void> = async () => {}

  async write(material: Delivered): Promise<void> {
    await this.beforeWrite()
    this.calls.push('write')
    this.written.push(material)
  }

  async read(): Promise<SvidMaterial | undefined> {
    return this.found
  }

  /** Throws to fail to listen. */
  beforeListen: () => Promise<void> = async () => {}

  async listen(_accept: (connection: Socket) => void): Promise<void> {
    await this.beforeListen()
    this.calls.push('listen')
  }

  async close(): Promise<void> {
    this.calls.push('close')
  }

  async remove(): Promise<void> {
    this.calls.push('remove')
  }
}
