import { run } from '../base/run.ts'

/** The files that the dynamic `program` loads, as an image's `files`: each at the path where it is on this machine. */
export async function sharedLibraries(program: string): Promise<Record<string, string>> {
  const listed = await run('ldd', [program])
  const paths = Array.from(listed.matchAll(/(?:=> )?(\/\S+) \(0x/g), ([, path = '']) => path)
  return Object.fromEntries(paths.map((path) => [path, path]))
}
