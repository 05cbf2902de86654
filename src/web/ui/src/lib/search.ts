// Searching by words: each must appear somewhere, in any case.

/** The words of a search text. */
export function wordsOf(search: string): string[] {
  return search.toLowerCase().split(/\s+/).filter(Boolean);
}

/** Whether each word is in one of the texts, which are in lower case. */
export function hasWords(words: readonly string[], ...texts: string[]): boolean {
  return words.every((word) => texts.some((text) => text.includes(word)));
}
