/**
 * Those of the names whose pod another one names as well, each with the others. Two declarations of one pod are a mistake,
 * or somebody who has got at another workload's token: its key is for one folder alone.
 *
 * @param pods the UID of the pod by name, where it is known.
 * @param isBelieved whether what a name says of its pod stands in the way of others. It has them in its own way even so.
 */
export function sharedPods(
  pods: ReadonlyMap<string, string | undefined>,
  isBelieved: (name: string) => boolean,
): ReadonlyMap<string, readonly string[]> {
  const named = Map.groupBy(pods.keys(), (name) => pods.get(name))
  named.delete(undefined)
  const others = [...named.values()].flatMap((names) =>
    names.map((name) => [name, names.filter((other) => other !== name && isBelieved(other))] as const),
  )
  return new Map(others.filter(([, names]) => names.length > 0))
}
