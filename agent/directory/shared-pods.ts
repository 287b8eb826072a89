/**
 * Those of the names whose pod another one names as well, each with the others. Two declarations of one pod are a mistake,
 * or somebody who has got at another workload's token: its key is for one folder alone.
 *
 * @param pods the UID of the pod by name, where it is known.
 */
export function sharedPods(pods: ReadonlyMap<string, string | undefined>): ReadonlyMap<string, readonly string[]> {
  const named = Map.groupBy(pods.keys(), (name) => pods.get(name))
  named.delete(undefined)
  const shared = [...named.values()].filter((names) => names.length > 1)
  return new Map(
    shared.flatMap((names) => names.map((name) => [name, names.filter((other) => other !== name)] as const)),
  )
}
