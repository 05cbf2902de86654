// Fuzzy matching of a short pattern against names: the pattern's characters
// must appear in order. Runs, word starts and early matches score higher.

export interface FuzzyMatch {
  /** Higher is better; only comparable for the same pattern. */
  score: number;
  /** Positions in the text that the pattern matched, ascending. */
  positions: number[];
}

const isBoundary = (text: string, index: number) => index === 0 || /[_:\-./ ]/.test(text[index - 1]!);

/** Matches one text, or returns null. An empty pattern matches everything. */
export function fuzzyMatch(pattern: string, text: string): FuzzyMatch | null {
  const wanted = pattern.toLowerCase().replace(/\s+/g, '');
  if (wanted === '') return { score: 0, positions: [] };
  const lower = text.toLowerCase();

  // A plain substring is what people mean most of the time.
  const plain = lower.indexOf(wanted);
  if (plain >= 0) {
    const positions = Array.from(wanted, (_, offset) => plain + offset);
    const score = 1000 - plain + (isBoundary(lower, plain) ? 200 : 0) - (text.length - wanted.length) * 0.5;
    return { score, positions };
  }

  // Only a substring may stand for many places; a scattered match takes the
  // first place that leaves room for the rest, preferring word starts.
  const positions: number[] = [];
  let from = 0;
  let score = 0;
  for (let i = 0; i < wanted.length; i++) {
    const char = wanted[i]!;
    const next = lower.indexOf(char, from);
    if (next < 0) return null;
    let best = next;
    if (i > 0 && next !== from) {
      for (let at = next; at >= 0; at = lower.indexOf(char, at + 1)) {
        if (isBoundary(lower, at) && isSubsequence(wanted.slice(i + 1), lower, at + 1)) {
          best = at;
          break;
        }
      }
    }
    score += best === from ? 10 : isBoundary(lower, best) ? 6 : -Math.min(best - from, 10);
    positions.push(best);
    from = best + 1;
  }
  return { score: score - text.length * 0.1, positions };
}

function isSubsequence(wanted: string, text: string, start: number): boolean {
  let from = start;
  for (const char of wanted) {
    const at = text.indexOf(char, from);
    if (at < 0) return false;
    from = at + 1;
  }
  return true;
}

/** The names that match, best first; equal scores keep their order. */
export function fuzzyFilter<T>(
  pattern: string,
  items: readonly T[],
  nameOf: (item: T) => string,
): Array<{ item: T; match: FuzzyMatch }> {
  const found: Array<{ item: T; match: FuzzyMatch }> = [];
  for (const item of items) {
    const match = fuzzyMatch(pattern, nameOf(item));
    if (match) found.push({ item, match });
  }
  if (pattern.trim() !== '') found.sort((a, b) => b.match.score - a.match.score);
  return found;
}
