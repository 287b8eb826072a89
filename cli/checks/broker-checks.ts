import { SYSTEM_NAMESPACE } from '../installation/names.ts'
import type { GetStatusResponse } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { type Check, count, fail, type Finding, judged, pass, skip, valueOf, type Verdict, warn } from './check.ts'
import type { InstalledFacts } from './facts.ts'
import type { PodFact } from './pod-fact.ts'
import { unscheduledRemedy } from './storage.ts'
import { toldOfTemplates } from './template-checks.ts'

/** The largest difference between two clocks that certificates back-dated by a minute bear. */
const MAX_SKEW_MS = 30_000

/** The broker: its pods, whether it can be asked, and what it says of itself. */
export const BROKER_CHECKS: readonly Check<InstalledFacts>[] = [
  {
    id: 'broker-deployment',
    category: 'broker',
    title: 'the broker runs',
    about: 'Without it nothing is issued or renewed; pods keep the SVIDs that they have.',
    run: ({ brokerDeployment, brokerPods, brokerIsElsewhere }) =>
      judged(brokerDeployment, (deployment) => {
        if (!deployment && brokerIsElsewhere)
          return skip('the broker was given by its address, and need not run in this cluster')
        if (!deployment)
          return fail(
            `there is no broker in namespace ${SYSTEM_NAMESPACE}`,
            'Install Countersign: docs/getting-started.md.',
          )
        const pods = valueOf(brokerPods) ?? []
        const { name, ready, desired } = deployment
        if (desired === 0)
          return fail(
            `Deployment ${name} is scaled to 0`,
            `kubectl -n ${SYSTEM_NAMESPACE} scale deployment ${name} --replicas=1`,
          )
        if (ready >= desired) return pass(`${name}: ${ready} of ${desired} ready`)
        return fail(`${name}: ${ready} of ${desired} ready`, logsOf(name), troubled(pods))
      }),
  },
  {
    id: 'broker-reachable',
    category: 'broker',
    title: 'the broker answers, and proves to be the broker',
    about:
      'It is known by its SPIFFE ID and the trust bundle; whoever else answers gets neither a token nor a question.',
    run: ({ status }) => {
      if ('value' in status) {
        const { trustDomain, version, host } = status.value
        return pass(`spiffe://${trustDomain}/countersign/broker, version ${version}, on ${host}`)
      }
      const { kind, message } = status.failure
      if (kind === 'forbidden')
        return fail(
          message,
          'Add the rule that the message names to a role of yours (the roles countersign-cli-user have all that the command needs: docs/cli.md), or use --token-file with a token of somebody who has it.',
        )
      return fail(message, 'See the check of the broker’s pods above, and its log; with --broker, check the address.')
    },
  },
  {
    id: 'broker-ready',
    category: 'broker',
    title: 'the broker can serve agents',
    about: 'What its /readyz says: the ledger, the authorities, the API server.',
    run: ({ status }) =>
      asked(status, ({ notReady }) =>
        notReady.length === 0
          ? pass('ready')
          : fail(notReady.join('; '), `kubectl -n ${SYSTEM_NAMESPACE} logs deployment/countersign-broker says more.`),
      ),
  },
  {
    id: 'broker-problems',
    category: 'broker',
    title: 'the broker knows of nothing that is wrong',
    about:
      'Rules of RBAC that it lacks, objects that it cannot read, trust that it cannot publish: each with its remedy.',
    run: ({ status, templates }) =>
      asked(status, ({ problems }) => {
        if (problems.length === 0) return pass('nothing')
        // One template that is wrong is one failure.
        const isToldBelow = toldOfTemplates(valueOf(templates) ?? [])
        const others = problems.filter(({ key }) => !isToldBelow(key))
        if (others.length === 0) return pass('nothing but what stands below of templates')
        return fail(
          count(others.length, 'problem'),
          'Each problem has its own remedy.',
          others.map(({ key, code, message, remedy }): Finding => ({
            subject: key,
            reason: `${code}: ${message}`,
            remedy,
          })),
        )
      }),
  },
  {
    id: 'broker-clock',
    category: 'broker',
    title: 'the broker’s clock agrees with this machine’s',
    about: 'SVIDs are back-dated by a minute; clocks that differ by more make fresh ones invalid.',
    run: ({ status, now }) =>
      asked(status, ({ serverTime }) => {
        if (!serverTime) return skip('the broker did not tell its time')
        const aheadMs = Number(serverTime.seconds) * 1000 + serverTime.nanos / 1e6 - now.getTime()
        const seconds = (Math.abs(aheadMs) / 1000).toFixed(1)
        if (Math.abs(aheadMs) <= MAX_SKEW_MS) return pass(`they differ by ${seconds} s`)
        return warn(
          `the broker is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine`,
          'Synchronise the clocks (NTP) of the broker’s node and of this machine.',
        )
      }),
  },
]

/** Judges what the broker says of itself; that it could not be asked is another check's. */
function asked(status: InstalledFacts['status'], judge: (status: GetStatusResponse) => Verdict): Verdict {
  return 'value' in status ? judge(status.value) : skip('the broker could not be asked')
}

/** What holds pods up, one finding each. */
export function troubled(pods: readonly PodFact[]): Finding[] {
  return pods
    .filter(({ isReady, isBeingDeleted }) => !isReady && !isBeingDeleted)
    .map((pod) => {
      const { namespace, name, node, phase, problems } = pod
      return {
        subject: `${namespace}/${name}`,
        reason: problems.length > 0 ? problems.join('; ') : `${phase}, not ready`,
        remedy: node === '' && problems.length > 0 ? unscheduledRemedy(pod) : undefined,
      }
    })
}

function logsOf(name: string): string {
  return `kubectl -n ${SYSTEM_NAMESPACE} describe pods, and logs deployment/${name}; readiness says what it waits for.`
}
