import { CSI_DRIVER } from '../installation/names.ts'
import { CRDS } from '../installation/crds.ts'
import { CLI_VERSION } from '../installation/version.ts'
import { type Check, count, fail, judged, pass, valueOf, warn } from './check.ts'
import { csiDriverFaults } from './csi-driver.ts'
import type { InstalledFacts } from './facts.ts'

const REINSTALL = 'Install again: helm upgrade --install; without Helm, as docs/operations.md says.'

/** The objects of the cluster itself that an installation consists of. */
export const OBJECT_CHECKS: readonly Check<InstalledFacts>[] = [
  {
    id: 'crds',
    category: 'objects',
    title: 'the CustomResourceDefinitions are there, of this version',
    about:
      'Without them there is nothing to write IdentityTemplates in; an older version of them may not know what this one needs.',
    run: ({ crds, status }) =>
      judged(crds, (all) => {
        const { version: broker, settings } = valueOf(status) ?? {}
        const source = settings?.templateSource
        if (source !== undefined && source !== 'customResources' && all.length === 0)
          return pass('not needed: this broker has its templates elsewhere')
        const findings = CRDS.flatMap(({ name, version }) => {
          const crd = all.find((found) => found.name === name)
          if (!crd) return [{ subject: name, reason: 'missing' }]
          if (!crd.isEstablished) return [{ subject: name, reason: 'not established: kubectl describe crd says why' }]
          return crd.versions.includes(version)
            ? []
            : [{ subject: name, reason: `serves ${crd.versions.join(', ')} and not ${version}` }]
        })
        if (findings.length > 0)
          return fail(
            `${count(findings.length, 'definition')} of ${CRDS.length} ${findings.length === 1 ? 'is' : 'are'} wrong`,
            REINSTALL,
            findings,
          )
        if (broker !== undefined && broker !== CLI_VERSION)
          return warn(
            `whether ${count(CRDS.length, 'definition')} fits is not known: the broker is of release ${broker}, and this command of ${CLI_VERSION}`,
            "Use the command of the broker's release.",
          )
        const others = CRDS.flatMap(({ name, digest }) => {
          const found = all.find((crd) => crd.name === name)?.digest
          if (found === digest) return []
          const of =
            found === undefined ? 'says not of which release it is: an earlier one' : 'is that of another release'
          return [{ subject: name, reason: of }]
        })
        if (others.length === 0) return pass(count(CRDS.length, 'definition'))
        const unknown =
          broker === undefined ? ' If the broker is of another release, use the command of that instead.' : ''
        return warn(
          `${count(others.length, 'definition')} of ${CRDS.length} ${others.length === 1 ? 'is' : 'are'} not of release ${CLI_VERSION}`,
          `helm upgrade brings those of this release. With crds.install=false, or without Helm: kubectl apply --server-side --force-conflicts -f deploy/manifests/2-custom-resource-definitions.yaml.${unknown}`,
          others,
        )
      }),
  },
  {
    id: 'csi-driver',
    category: 'objects',
    title: `the CSIDriver object ${CSI_DRIVER} is exactly right`,
    about:
      'kubelet learns from it to pass the pod and its token on, and to renew both. One that is missing, or another driver’s, stops every new pod.',
    run: ({ csiDriver, trustDomain, status, version }) =>
      judged(csiDriver, (driver) => {
        if (!driver) return fail('it is missing: kubelet refuses pods with volumes of it', REINSTALL)
        const audience = valueOf(status)?.settings?.audience ?? (trustDomain && `countersign.dev/${trustDomain}`)
        const { wrong, unwise } = csiDriverFaults(driver, { audience, serverMinor: valueOf(version)?.minor })
        const findings = [...wrong, ...unwise].map((reason) => ({ subject: CSI_DRIVER, reason }))
        if (wrong.length > 0)
          return fail(
            `${count(wrong.length, 'setting')} ${wrong.length === 1 ? 'is' : 'are'} wrong`,
            REINSTALL,
            findings,
          )
        if (unwise.length > 0) return warn(`${count(unwise.length, 'setting')} could be better`, REINSTALL, findings)
        return pass(`it asks for tokens of the audience ${driver.tokenAudiences.join(', ')}`)
      }),
  },
]
