import { formatDuration } from '../../../core/runtime/duration.ts'
import type { PodEvidence } from './evidence.ts'
import { failed, ok, skipped, type Step, unknown } from './step.ts'

/** What a pod's author may write in `volumeAttributes`: nothing so far. kubelet's own begin as below. */
const KUBELETS_ATTRIBUTES = 'csi.storage.k8s.io/'
/** Shown of what others wrote. */
const MAX_SHOWN = 64
const MAX_QUOTED = 500
/** As much as `notBefore` is back-dated (design §10): beyond it a fresh SVID may look not yet valid on the node. */
const MAX_SKEW_MS = 60_000

export function podStep({ pod }: PodEvidence): Step {
  if (pod.phase === 'Succeeded' || pod.phase === 'Failed') {
    return failed('pod', `The pod is over (${pod.phase}): its identity has ended with it.`, {
      remedy: 'Nothing, if it was meant to end; else see why it did: kubectl describe pod.',
    })
  }
  if (pod.isBeingDeleted) return ok('pod', 'The pod exists, and is being deleted: its identity ends with it.')
  return ok('pod', `The pod exists (${pod.phase}).`)
}

export function volumeStep({ pod: { volumes } }: PodEvidence): Step {
  if (volumes.length === 0) {
    return skipped(
      'volume',
      'The pod has no volume of the driver csi.countersign.dev, so it does not ask for an identity.',
    )
  }
  const writable = volumes.find((volume) => !volume.isReadOnly)
  if (writable) {
    return failed('volume', `The volume ${writable.name} is not readOnly, and the agent refuses it.`, {
      code: 'volume_not_read_only',
    })
  }
  for (const { name, attributes } of volumes) {
    const foreign = attributes.find((attribute) => !attribute.startsWith(KUBELETS_ATTRIBUTES))
    if (foreign !== undefined) {
      return failed(
        'volume',
        `The volume ${name} has the attribute "${foreign.slice(0, MAX_SHOWN)}", which the agent does not know.`,
        {
          code: 'volume_attribute_unknown',
          remedy: 'Remove it from volumeAttributes: none are known so far.',
        },
      )
    }
  }
  const unmounted = volumes.find(({ mountedBy }) => mountedBy.length === 0)
  const mounts = volumes.map(({ name, mountedBy }) => `${name} (mounted by ${mountedBy.join(', ') || 'no container'})`)
  const note = unmounted ? ' A container sees the identity only where it mounts the volume.' : ''
  return ok('volume', `The pod asks for an identity by the volume ${mounts.join(', ')}.${note}`)
}

export function nodeStep({ pod: { nodeName, unscheduled } }: PodEvidence): Step {
  if (nodeName !== undefined) return ok('node', `The pod runs on the node ${nodeName}.`)
  const why =
    unscheduled === '' ? '' : ` The scheduler says: ${unscheduled.slice(0, MAX_QUOTED)}.`.replace(/\.\.$/, '.')
  return failed('node', `The pod is not scheduled to a node yet.${why}`, {
    remedy: 'See why: kubectl describe pod. An identity is issued once it has a node.',
  })
}

export function agentStep({ pod: { nodeName }, agent, bundleSequence }: PodEvidence): Step {
  if (nodeName === undefined || !agent) return skipped('agent', 'Without a node there is no agent to ask.')
  const { connected, enforced } = agent
  const ofNode = `kubectl get pods -n countersign-agent --field-selector spec.nodeName=${nodeName}`
  if (!connected) {
    return failed('agent', `The agent of the node ${nodeName} is not connected to the broker.`, {
      code: 'broker_unavailable',
      remedy: `Look at the agent's pod and its log: ${ofNode}. Pods keep the SVIDs that they have until these expire.`,
    })
  }
  const { says } = connected
  const skewMs = says?.skewMs ?? 0
  if (Math.abs(skewMs) > MAX_SKEW_MS) {
    const by = `${formatDuration(Math.round(Math.abs(skewMs) / 1000) * 1000)} ${skewMs > 0 ? 'ahead of' : 'behind'}`
    return failed('agent', `The clock of the node ${nodeName} is ${by} the broker's.`, {
      remedy: 'Set the clock of the node right (NTP): SVIDs may look expired, or not valid yet.',
    })
  }
  const version = says?.version ? ` (version ${says.version})` : ''
  const behind = enforced < bundleSequence ? ' It has not confirmed the newest trust bundle yet.' : ''
  return ok('agent', `The agent of the node ${nodeName} is connected${version}.${behind}`)
}

export function serviceAccountStep({ pod, serviceAccount: found }: PodEvidence): Step {
  const name = `${pod.namespace}/${pod.serviceAccount}`
  if (found.is === 'unknown') {
    return unknown('service-account', `Whether the ServiceAccount ${name} exists could not be found out`, found.error)
  }
  if (found.is === 'there') return ok('service-account', `Its ServiceAccount is ${name}.`)
  return failed('service-account', `Its ServiceAccount ${name} does not exist any more, so its tokens are void.`, {
    code: 'token_rejected',
    remedy:
      'Make the ServiceAccount again, and then the pod: tokens are bound to the ServiceAccount that it began with.',
  })
}
