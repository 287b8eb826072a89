import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { ERROR_CODES, isErrorCode } from '../../core/runtime/error-codes.ts'
import {
  type ExplainPodRequest,
  type ExplainPodResponseSchema,
  type RefusalSchema,
  StepOutcome,
  Verdict,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { PastRefusal, PodEvidence } from './explanation/evidence.ts'
import { explain, explainNoPod, explainUnknown, type Explanation, type PodVerdict } from './explanation/explanation.ts'
import { type EvidenceSources, gatherEvidence } from './explanation/gather-evidence.ts'
import { nextRenewal } from './explanation/identity-steps.ts'
import type { PodView } from './explanation/pod-view.ts'
import type { Outcome } from './explanation/step.ts'
import { identityMessage } from './identity-answers.ts'
import { objectName } from './request-fields.ts'

const OUTCOMES: Readonly<Record<Outcome, StepOutcome>> = {
  ok: StepOutcome.OK,
  failed: StepOutcome.FAILED,
  skipped: StepOutcome.SKIPPED,
  unknown: StepOutcome.UNKNOWN,
}

const VERDICTS: Readonly<Record<PodVerdict, Verdict>> = {
  hasIdentity: Verdict.HAS_IDENTITY,
  atRisk: Verdict.AT_RISK,
  waiting: Verdict.WAITING,
  noIdentity: Verdict.NO_IDENTITY,
  notAsked: Verdict.NOT_ASKED,
  noPod: Verdict.NO_POD,
  unknown: Verdict.UNKNOWN,
}

/** `ExplainPod`. */
export async function explainPod(
  request: ExplainPodRequest,
  sources: EvidenceSources,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof ExplainPodResponseSchema>> {
  const namespace = objectName('namespace', request.namespace)
  const name = objectName('name', request.name)
  let pod: PodView | undefined
  try {
    pod = await sources.lookup.pod(namespace, name, signal)
  } catch (error) {
    signal.throwIfAborted()
    return explanationMessage(explainUnknown(namespace, name, error))
  }
  if (!pod) return explanationMessage(explainNoPod(namespace, name))
  const evidence = await gatherEvidence(pod, sources, signal)
  signal.throwIfAborted()
  return { ...explanationMessage(explain(evidence)), ...evidenceMessage(evidence) }
}

function explanationMessage({ verdict, summary, steps }: Explanation) {
  return {
    verdict: VERDICTS[verdict],
    summary,
    steps: steps.map(({ name, outcome, found, code, remedy }) => ({
      name,
      outcome: OUTCOMES[outcome],
      found,
      code: code ?? '',
      remedy,
    })),
  }
}

function evidenceMessage(evidence: PodEvidence) {
  const { pod, registration, identities, refusals, now } = evidence
  const renewal = nextRenewal(evidence)
  return {
    pod: {
      uid: pod.uid,
      nodeName: pod.nodeName ?? '',
      serviceAccount: pod.serviceAccount,
      phase: pod.phase,
      createdAt: timestampFromDate(pod.createdAt),
    },
    spiffeId: registration.identity?.id.toString() ?? '',
    identities: identities.is === 'there' ? identities.value.rows.map((row) => identityMessage(row, now)) : [],
    refusals: refusals.is === 'there' ? refusals.value.rows.map(refusalMessage) : [],
    ...(renewal && { nextRenewal: timestampFromDate(renewal) }),
  }
}

function refusalMessage({ at, code, reason, nodeName }: PastRefusal): MessageInitShape<typeof RefusalSchema> {
  const { meaning, remedy } = isErrorCode(code) ? ERROR_CODES[code] : { meaning: '', remedy: '' }
  return { at: timestampFromDate(at), code, meaning, remedy, reason, nodeName }
}
