import { afterAll } from 'vitest'
import { describeAttestation } from './attestation-behaviour.ts'
import { FakeClock } from './fakes/fake-clock.ts'
import { FakeKubernetes } from './fakes/fake-kubernetes.ts'

const clock = new FakeClock()
const fake = await FakeKubernetes.start({ clock })
afterAll(() => fake.stop())

describeAttestation(async () => ({
  adminKubeconfig: fake.adminKubeconfig,
  clock,
  request: (method, path, body) => fake.request(method, path, body),
  pass: (milliseconds) => clock.advance(milliseconds),
}))
