import type { Socket } from 'node:net'
import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { Delivered, Delivery, SvidMaterial } from '../workloads/workload.ts'
import type { Directory } from './directory.ts'
import { errnoOf } from './errno.ts'
import { removeForeign } from './foreign-entries.ts'
import { PodSocket, SOCKET } from './pod-socket.ts'
import { renewTrustInPlace } from './trust-in-place.ts'
import { volumeFiles } from './volume-files.ts'
import type { Readers } from './readers.ts'
import type { VolumePlace } from './volume-place.ts'
import { readSvid } from './volume-reader.ts'
import { repairLinks, shutKeys, wasFilled, wipe, writeGeneration } from './volume-writer.ts'

/** What a delivery is made of. */
export interface VolumeDeliveryOptions {
  readonly place: VolumePlace
  /** Who may read the keys and connect, until it is shut. */
  readonly readers: Readers
  readonly clock: Clock
  /** Told that the files are not as the agent left them, and will be written anew. */
  readonly damaged?: (error: unknown) => void
  /** Told what could not be wiped of a volume that goes. */
  readonly unwiped?: (error: unknown) => void
}

/** `empty` is a volume whose first identity never came: its agent was killed before. */
export type Found = 'nothing' | 'empty' | 'filled'

/**
 * Delivers one workload's identity into its volume. Calls take turns, so that the end of a pod, which may come while
 * its first identity is being written, leaves nothing behind: after {@link VolumeDelivery.remove} nothing is written.
 */
export class VolumeDelivery implements Delivery {
  readonly #options: VolumeDeliveryOptions
  #turn: Promise<unknown> = Promise.resolve()
  #ended = false
  #readers: Readers
  #volume: Directory | undefined
  #socket: PodSocket | undefined

  constructor(options: VolumeDeliveryOptions) {
    this.#options = options
    this.#readers = options.readers
  }

  /** Whether the volume is there, and ours. */
  exists(): Promise<boolean> {
    return this.#inTurn(async () => (this.#volume ??= await this.#options.place.open()) !== undefined)
  }

  /** What is there, whatever its state: containers may be using a volume that was filled, and that one alone. */
  found(): Promise<Found> {
    return this.#inTurn(async () => {
      const volume = (this.#volume ??= await this.#options.place.open())
      if (volume === undefined) return 'nothing'
      return (await wasFilled(volume)) ? 'filled' : 'empty'
    })
  }

  /** Makes the volume, unless it is there. Where that fails nothing is written either, and nobody tries again. */
  prepare(): Promise<void> {
    return this.#inTurn(async () => {
      try {
        await this.#prepared()
      } catch (error) {
        this.#ended = true
        throw error
      }
    })
  }

  /**
   * @throws {@link IdentityError} `volume_pinned` where no file can be made for those that the workload keeps open: what
   *   its files trust is up to date all the same.
   */
  write(material: Delivered): Promise<void> {
    const files = volumeFiles(material)
    return this.#inTurn(async () => {
      const volume = await this.#prepared()
      const sizes = files.map(({ contents }) => contents.length)
      await this.#options.place.reserve(volume, sizes)
      const foreign = this.#options.place.isOursAlone ? 'removed' : 'refused'
      try {
        await this.#withRoom(volume, () => writeGeneration(volume, files, this.#readers, foreign))
      } catch (error) {
        if (!this.#options.place.isOursAlone || codeOf(error) !== 'volume_full') throw error
        await renewTrustInPlace(volume, files, this.#options.place)
        throw volumePinned(error)
      }
    })
  }

  /** What is damaged is read as nothing, and will be written anew; what cannot be read for now is not damaged. */
  read(): Promise<SvidMaterial | undefined> {
    return this.#inTurn(async () => {
      const volume = (this.#volume ??= await this.#options.place.open())
      if (volume === undefined) return undefined
      try {
        const svid = await readSvid(volume)
        if (svid) await repairLinks(volume)
        return svid
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error
        this.#options.damaged?.(error)
        return undefined
      }
    })
  }

  listen(accept: (connection: Socket) => void): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#socket) throw new TypeError('the volume has its socket already')
      const volume = await this.#prepared()
      this.#socket = await this.#withRoom(volume, () => PodSocket.open(volume, this.#readers, accept))
    })
  }

  /** Whether a former agent left the volume open to exactly these. */
  admits(readers: Readers): Promise<boolean> {
    return this.#inTurn(async () => {
      const volume = (this.#volume ??= await this.#options.place.open())
      return volume !== undefined && (await this.#options.place.admits(volume, readers))
    })
  }

  /**
   * From now on nobody but the owner may read and connect, and what is there already is closed at once: all of it that
   * can be, whatever fails. What was made for some is never handed to others: they are given a volume of their own.
   */
  shut(): Promise<void> {
    return this.#inTurn(async () => {
      this.#readers = 'owner'
      const volume = (this.#volume ??= await this.#options.place.open())
      if (volume === undefined) return
      const shut = await Promise.allSettled([
        this.#options.place.admit(volume, 'owner'),
        this.#socket?.shut(volume),
        shutKeys(volume),
      ])
      const failed = shut.find((each) => each.status === 'rejected')
      if (failed) throw failed.reason
    })
  }

  close(): Promise<void> {
    return this.#inTurn(() => this.#letGo(), 'ends')
  }

  remove(): Promise<void> {
    return this.#inTurn(async () => {
      const { place, unwiped } = this.#options
      let shut: { readonly error: unknown } | undefined
      this.#volume ??= await place.open().catch((error: unknown) => {
        // One that was tampered with goes all the same, where it goes with its mount.
        unwiped?.(error)
        shut = { error }
        return undefined
      })
      const volume = this.#volume
      if (volume) {
        await volume.unlink(SOCKET).catch(() => {})
        await wipe(volume).catch((error: unknown) => unwiped?.(error))
      }
      await this.#letGo()
      await place.release()
      if (shut && !place.isOursAlone) throw shut.error
    }, 'ends')
  }

  async #prepared(): Promise<Directory> {
    if (this.#volume) return this.#volume
    this.#volume = await this.#options.place.prepare()
    await this.#options.place.admit(this.#volume, this.#readers)
    return this.#volume
  }

  /** Room is reckoned for what is ours; what others have put into a volume of ours makes way. */
  async #withRoom<T>(volume: Directory, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (errnoOf(error) !== 'ENOSPC') throw error
      if (!this.#options.place.isOursAlone || !(await removeForeign(volume))) throw volumeFull(error)
    }
    return work().catch((error: unknown) => {
      throw errnoOf(error) === 'ENOSPC' ? volumeFull(error) : error
    })
  }

  async #letGo(): Promise<void> {
    await this.#socket?.close(this.#options.clock)
    this.#socket = undefined
    await this.#volume?.close()
    this.#volume = undefined
  }

  #inTurn<T>(work: () => Promise<T>, ends?: 'ends'): Promise<T> {
    if (ends) this.#ended = true
    const turn = this.#turn.then(() => {
      if (this.#ended && !ends) throw new IdentityError('workload_unknown', 'the volume is no longer in use')
      return work()
    })
    this.#turn = turn.catch(() => {})
    return turn
  }
}

/** What others had put there is gone, and for our own files there is room: the rest is in files that have no name any more. */
function volumePinned(cause: unknown): IdentityError {
  const why = 'the workload keeps files open that were replaced, and they fill its volume'
  return new IdentityError('volume_pinned', why, { cause })
}

function volumeFull(cause: unknown): IdentityError {
  return new IdentityError('volume_full', 'the volume is full', { cause })
}
