import { tryRun } from '../base/run.ts'

const NEEDED = { major: 1, minor: 26 }

/** The version of the Go on PATH, as `go1.26.8`. Fails with a sentence that says what to do when there is none, or it is too old. */
export async function goVersion(): Promise<string> {
  const needed = `Go ${NEEDED.major}.${NEEDED.minor} or newer`
  const answer = await tryRun('go', ['env', 'GOVERSION']).catch(() => undefined)
  if (!answer || answer.code !== 0) {
    throw new Error(
      `the test cluster builds Kubernetes and needs ${needed}, but there is no \`go\` on PATH: see https://go.dev/dl/`,
    )
  }
  const version = answer.stdout.trim()
  const [, major = '0', minor = '0'] = /^go(\d+)\.(\d+)/.exec(version) ?? []
  const newEnough = Number(major) > NEEDED.major || (Number(major) === NEEDED.major && Number(minor) >= NEEDED.minor)
  if (!newEnough) {
    throw new Error(
      `the test cluster builds Kubernetes and needs ${needed}, but \`go\` is ${version}: see https://go.dev/dl/`,
    )
  }
  return version
}
