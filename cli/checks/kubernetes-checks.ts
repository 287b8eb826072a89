import type { InstalledFacts, PreFacts } from './facts.ts'
import { type Check, fail, judged, pass, skip, valueOf } from './check.ts'

/** What both `check` and `check --pre` begin with. */
type Facts = Pick<PreFacts & InstalledFacts, 'version'>

/** The oldest API server that is supported: the oldest whose kubelets get CSI inline volumes right (kubernetes#121271). */
const OLDEST = { major: 1, minor: 34 }

export const KUBERNETES_CHECKS: readonly Check<Facts>[] = [
  {
    id: 'api-server-reachable',
    category: 'kubernetes',
    title: 'the API server answers',
    about: 'Everything else is read from it. What cannot be read then is skipped.',
    run({ version }) {
      if ('value' in version) return pass(`it is ${version.value.text}`)
      return fail(version.failure.message, 'Check --kubeconfig and --context, the network, and kubectl version.')
    },
  },
  {
    id: 'api-server-version',
    category: 'kubernetes',
    title: `the API server is ${OLDEST.major}.${OLDEST.minor} or newer`,
    about: 'Older ones lack what Countersign relies on, and are supported by nobody.',
    run: ({ version }) => {
      if (valueOf(version) === undefined) return skip('the API server did not answer')
      return judged(version, ({ major, minor, text }) =>
        major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)
          ? pass(text)
          : fail(`it is ${text}`, `Upgrade the cluster to ${OLDEST.major}.${OLDEST.minor} or newer.`),
      )
    },
  },
]
