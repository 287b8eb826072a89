import { AdminService } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { Call, Handlers } from '../../proto/grpc-server.ts'
import type { AdminGuard } from './admin-guard.ts'
import { type AdminMethod, type AdminRequests, ruleOf, targetOf } from './permissions.ts'

/** What each method answers, once the call was let in. */
export type AdminAnswers = Handlers<typeof AdminService>

/** `countersign.admin.v1.AdminService`: no method answers before the guard has let the call in. */
export function adminService(guard: Pick<AdminGuard, 'admit'>, answers: AdminAnswers): AdminAnswers {
  const methods = Object.keys(AdminService.method) as AdminMethod[]
  const guarded = methods.map((method) => [method, guardedAnswer(guard, method, answers)])
  return Object.fromEntries(guarded) as AdminAnswers
}

function guardedAnswer<M extends AdminMethod>(
  guard: Pick<AdminGuard, 'admit'>,
  method: M,
  { [method]: answer }: AdminAnswers,
) {
  return async (request: AdminRequests[M], call: Call) => {
    await guard.admit({ method, rule: ruleOf(method, request), target: targetOf(method, request) }, call)
    return (answer as (request: AdminRequests[M], call: Call) => Promise<unknown>)(request, call)
  }
}
