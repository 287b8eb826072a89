const PAGE = 500
/** 50,000 objects: no cluster has more nodes, and of pods only a few are asked for. */
const MAX_PAGES = 100

interface Page {
  readonly limit: number
  readonly _continue?: string
}

/** All items of a list, in pages that no API server minds. */
export async function everyPage<T>(
  list: (page: Page) => Promise<{ readonly items: readonly T[]; readonly metadata?: { readonly _continue?: string } }>,
): Promise<T[]> {
  const all: T[] = []
  let next: string | undefined
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { items, metadata } = await list({ limit: PAGE, ...(next !== undefined && { _continue: next }) })
    all.push(...items)
    next = metadata?._continue
    if (next === undefined || next === '') break
  }
  return all
}
