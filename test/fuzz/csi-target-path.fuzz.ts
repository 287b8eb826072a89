import { posix } from 'node:path'
import { parseTargetPath, type TargetPath } from '../../agent/csi/target-path.ts'
import { defineTarget, property } from './harness.ts'
import type { Rng } from './rng.ts'

const KUBELET = '/var/lib/kubelet'
const UID = 'd26fcac6-b02c-4ee9-8a7d-c1a6a3c4f201'
const PIECES = ['/', '//', '.', '..', '/..', '/../', './', '\0', '\n', ' ', '%2e%2e', '\\', '~', 'é', 'A', '-']

export const target = defineTarget<string>({
  name: 'csi-target-path',
  generate(rng) {
    const root = rng.oneIn(12) ? rng.pick(['', '/', '/var/lib', '/var/lib/kubelet2', 'var/lib/kubelet']) : KUBELET
    const uid = rng.oneIn(6) ? rng.pick(['', '..', '-', 'static-0123456789abcdef', 'u'.repeat(300), 'a b']) : UID
    const plugin = rng.oneIn(12) ? rng.pick(['kubernetes.io~secret', '..', '']) : 'kubernetes.io~csi'
    const volume = rng.pick(['identity', 'a', 'a-b', 'v'.repeat(63), 'v'.repeat(64), '..', '', 'A', 'a.b'])
    const path = `${root}/pods/${uid}/volumes/${plugin}/${volume}/mount`
    return rng.oneIn(3) ? bend(rng, path) : path
  },
  run: (path) => check(path, (given) => parseTargetPath(given, KUBELET)),
  plantedFault: {
    description: 'a path that is tidied up before it is looked at',
    run: (path) => check(path, (given) => ({ ...parseTargetPath(posix.normalize(given), KUBELET), path: given })),
  },
})

function bend(rng: Rng, path: string): string {
  const at = rng.below(path.length + 1)
  return path.slice(0, at) + rng.pick(PIECES) + path.slice(at)
}

function check(path: string, parse: (path: string) => TargetPath): void {
  const { root, parents, name, podUid } = parse(path)
  property([root, ...parents, name].join('/') === path, 'its parts are not the path')
  property(posix.normalize(path) === path, 'it is written in a roundabout way')
  property(path.startsWith(`${KUBELET}/pods/${podUid}/volumes/kubernetes.io~csi/`), 'it is outside')
  property(/^[\x21-\x7e]+$/.test(path), 'it holds what is no name')
}
