import type { Outcome, Read } from '../checks/check.ts'
import type { CsiDriverFact } from '../checks/facts.ts'
import { csiDriverFaults } from '../checks/csi-driver.ts'
import { knownMountFailure, type MountFailures, quoted } from '../checks/mount-failure.ts'
import type { PodFact } from '../checks/pod-fact.ts'
import { unscheduledRemedy } from '../checks/storage.ts'
import { CSI_DRIVER } from '../installation/names.ts'

/** A step on the way from a pod to its identity. */
export interface Step {
  readonly name: string
  readonly outcome: Outcome
  readonly found: string
  readonly code?: string | undefined
  readonly remedy?: string | undefined
}

/** What the cluster itself knows about a pod, without the broker. */
export interface PodFacts {
  /** `undefined`: there is none. */
  readonly pod: PodFact | undefined
  readonly csiDriver: Read<CsiDriverFact | undefined>
  /** Whether the kubelet of the pod's node knows our driver. */
  readonly isRegistered: Read<boolean>
  /** The agent's pod on that node; `undefined`: there is none. */
  readonly agentPod: Read<PodFact | undefined>
  /** Messages of FailedMount events, newest first. */
  readonly mountFailures: Read<MountFailures>
  /** A container was made, and so the volume is mounted. */
  readonly hasStarted: boolean
}

/** What kubelet and the objects of the cluster say, in the order of the way. */
export function kubernetesSteps(facts: PodFacts): Step[] {
  const { pod } = facts
  if (!pod)
    return [
      {
        name: 'pod',
        outcome: 'fail',
        found: 'There is no such pod.',
        remedy: 'Check the name and --namespace: kubectl get pods -A.',
      },
    ]
  const steps = [podStep(pod), volumeStep(pod)]
  if (pod.volumes.length === 0) return steps
  return [
    ...steps,
    driverStep(facts),
    nodeStep(pod),
    ...(pod.node === '' ? [] : [registrationStep(facts, pod), mountStep(facts)]),
  ]
}

function podStep({ namespace, name, phase, serviceAccount, isBeingDeleted }: PodFact): Step {
  const found = `Pod ${namespace}/${name} runs as ServiceAccount ${serviceAccount} and is ${isBeingDeleted ? 'being deleted' : phase}.`
  return { name: 'pod', outcome: isBeingDeleted ? 'warn' : 'pass', found }
}

function volumeStep({ volumes, foreignVolumes }: PodFact): Step {
  const [first] = volumes
  if (!first) {
    const others = foreignVolumes.map(({ name, driver }) => `its volume ${name} is of ${driver}`).join(', ')
    return {
      name: 'volume',
      outcome: 'fail',
      found: `It has no volume of ${CSI_DRIVER}, and so asks for no identity${others && `; ${others}`}.`,
      remedy: `${others ? 'Write the driver’s name as here, or add a volume' : 'Add a volume'}: csi: { driver: ${CSI_DRIVER}, readOnly: true }, and mount it.`,
    }
  }
  const writable = volumes.find(({ readOnly }) => !readOnly)
  if (writable)
    return {
      name: 'volume',
      outcome: 'fail',
      code: 'volume_not_read_only',
      found: `Its volume ${writable.name} is not readOnly, and the agent refuses it.`,
      remedy: 'Set csi.readOnly: true on the volume.',
    }
  return {
    name: 'volume',
    outcome: 'pass',
    found: `Its volume ${volumes.map(({ name }) => name).join(', ')} is of ${CSI_DRIVER}, and readOnly.`,
  }
}

function driverStep({ csiDriver }: PodFacts): Step {
  const name = 'csi-driver'
  if ('failure' in csiDriver) return { name, outcome: 'warn', found: csiDriver.failure.message }
  const remedy = 'Install Countersign again: the chart and deploy/manifests have it.'
  if (!csiDriver.value)
    return {
      name,
      outcome: 'fail',
      found: `The CSIDriver object ${CSI_DRIVER} is missing: kubelet refuses the volume.`,
      remedy,
    }
  const { wrong } = csiDriverFaults(csiDriver.value, { audience: undefined, serverMinor: undefined })
  if (wrong.length > 0)
    return { name, outcome: 'fail', found: `The CSIDriver object ${CSI_DRIVER} is wrong: ${wrong.join('; ')}.`, remedy }
  return { name, outcome: 'pass', found: `The CSIDriver object ${CSI_DRIVER} is as it should be.` }
}

function nodeStep(pod: PodFact): Step {
  const { node, problems } = pod
  if (node !== '') return { name: 'node', outcome: 'pass', found: `It is scheduled to node ${node}.` }
  const [why] = problems
  return {
    name: 'node',
    outcome: why === undefined ? 'warn' : 'fail',
    found: why === undefined ? 'It is not scheduled to a node yet.' : `It is ${why}.`,
    remedy: why === undefined ? undefined : unscheduledRemedy(pod),
  }
}

function registrationStep({ isRegistered, agentPod }: PodFacts, { node }: PodFact): Step {
  const name = 'registration'
  if ('failure' in isRegistered) return { name, outcome: 'warn', found: isRegistered.failure.message }
  const agent = 'value' in agentPod ? agentPod.value : undefined
  const whichAgent = agent
    ? ` Its agent is ${agent.namespace}/${agent.name}${agent.isReady ? '' : `, not ready${agent.problems[0] ? `: ${agent.problems[0]}` : ''}`}.`
    : ''
  if (isRegistered.value)
    return { name, outcome: 'pass', found: `The kubelet of ${node} knows the driver.${whichAgent}` }
  return {
    name,
    outcome: 'fail',
    found: `The kubelet of ${node} does not know ${CSI_DRIVER}: no agent is registered there.${whichAgent}`,
    remedy: agent
      ? `See why the agent does not run: kubectl -n ${agent.namespace} describe pod ${agent.name}, and its log.`
      : 'See countersign check: is there an agent for that node (tolerations, node selector)?',
  }
}

/** How much is shown of what kubelet says of others' volumes. */
const MAX_QUOTED = 300

function mountStep({ mountFailures, hasStarted }: PodFacts): Step {
  const name = 'mount'
  if (hasStarted) return { name, outcome: 'pass', found: 'kubelet has mounted the volume: its containers were made.' }
  if ('failure' in mountFailures) return { name, outcome: 'warn', found: mountFailures.failure.message }
  const { ofOurs, ofOthers } = mountFailures.value
  const [newest] = ofOurs
  const known = knownMountFailure(ofOurs)
  if (known)
    return {
      name,
      outcome: 'fail',
      code: known.code,
      found: `kubelet cannot mount the volume: ${known.reason}`,
      remedy: known.remedy,
    }
  if (newest !== undefined)
    return {
      name,
      outcome: 'fail',
      found: `kubelet cannot mount the volume: ${quoted(newest)}`,
      remedy: 'See the log of the agent on its node.',
    }
  const [other] = ofOthers
  if (other !== undefined)
    return {
      name,
      outcome: 'warn',
      found: `kubelet says nothing against the volume, but the pod waits for another one: ${quoted({ ...other, text: other.text.slice(0, MAX_QUOTED) })}`,
      remedy: 'Mend the other volume: no container starts before all of the pod’s are there.',
    }
  return { name, outcome: 'warn', found: 'kubelet has not mounted the volume yet, and has not said why.' }
}
