import { AdminService } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { Call, Handlers } from '../../proto/grpc-server.ts'
import type { AdminGuard } from './admin-guard.ts'
import { CallsInTurn } from './calls-in-turn.ts'
import { type AdminMethod, type AdminRequests, ruleOf, targetOf } from './permissions.ts'

/** What each method answers, once the call was let in. */
export type AdminAnswers = Handlers<typeof AdminService>

/** `countersign.admin.v1.AdminService`: no method answers before the guard has let the call in, and its user's turn has come. */
export function adminService(guard: Pick<AdminGuard, 'admit'>, answers: AdminAnswers): AdminAnswers {
  const methods = Object.keys(AdminService.method) as AdminMethod[]
  const turns = new CallsInTurn()
  const guarded = methods.map((method) => [method, guardedAnswer({ guard, turns }, method, answers)])
  return Object.fromEntries(guarded) as AdminAnswers
}

function guardedAnswer<M extends AdminMethod>(
  { guard, turns }: { readonly guard: Pick<AdminGuard, 'admit'>; readonly turns: CallsInTurn },
  method: M,
  { [method]: answer }: AdminAnswers,
) {
  return async (request: AdminRequests[M], call: Call) => {
    const demand = { method, rule: ruleOf(method, request), target: targetOf(method, request) }
    const { name } = await guard.admit(demand, call)
    const answered = answer as (request: AdminRequests[M], call: Call) => Promise<unknown>
    return turns.run(name, () => answered(request, call), call.signal)
  }
}
