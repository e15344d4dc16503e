/** Names that were probably meant. */

/** Insertions, deletions and substitutions that lead from one text to the other (Levenshtein). */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...b].entries()) {
      const change = (row[j] ?? 0) + Number(letter !== other)
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** The known name that a misspelt one is nearest to; undefined if none is near. Case does not count. */
export const nearest = (name: string, known: readonly string[]): string | undefined => {
  const most = Math.max(1, Math.floor(name.length / 4))
  const [best] = known
    .map(candidate => ({ candidate, away: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ away }) => away <= most)
    .sort((a, b) => a.away - b.away)
  return best?.candidate
}
