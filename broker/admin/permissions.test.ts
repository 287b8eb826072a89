import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import {
  ExplainPodRequestSchema,
  ListAuditRecordsRequestSchema,
  ListIdentitiesRequestSchema,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { ruleOf, targetOf } from './permissions.ts'

test.for(['', 'a', 'shop', 'kube-system', 'a'.repeat(63)])(
  'a rule is about the namespace that was asked for: %j',
  (namespace) => {
    const request = create(ListIdentitiesRequestSchema, { namespace })
    expect(ruleOf('listIdentities', request)).toEqual({ verb: 'list', resource: 'workloadidentities', namespace })
  },
)

test.for(['-a', 'a-', 'Shop', 'a.b', 'a/b', 'a\n', 'a'.repeat(64), '\u0000'.repeat(60_000), 'ä'])(
  'what is no namespace comes neither to the API server nor into the audit: %#',
  (namespace) => {
    const refused = expect.objectContaining({ code: 'request_invalid' })
    expect(() => ruleOf('listIdentities', create(ListIdentitiesRequestSchema, { namespace }))).toThrow(refused)
    expect(() => ruleOf('explainPod', create(ExplainPodRequestSchema, { namespace }))).toThrow(refused)
    expect(() => ruleOf('listAuditRecords', create(ListAuditRecordsRequestSchema, { namespace }))).toThrow(refused)
  },
)

test('what a call is about is put down as far as anybody reads', () => {
  const request = create(ExplainPodRequestSchema, { namespace: 'shop', name: 'x'.repeat(60_000) })
  expect(targetOf('explainPod', request)).toHaveLength(253)
})
