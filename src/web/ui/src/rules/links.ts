// Addresses inside of texts from rules. Texts come from files and from labels
// of targets, so only plain web addresses become links.

export interface TextPart {
  text: string;
  /** Set for an address. */
  href?: string;
}

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\\]+/gi;
const AFTER_A_SENTENCE = /[.,;:!?]$/;

/** An address that can be opened, else null. */
export function webAddress(text: string): string | null {
  try {
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : null;
  } catch {
    return null;
  }
}

/** An address without the punctuation of the sentence around it. */
function withoutPunctuation(address: string): string {
  let end = address.length;
  let open = address.split('(').length - address.split(')').length;
  while (end > 0) {
    const last = address[end - 1]!;
    if (last === ')' && open < 0) open += 1;
    else if (!AFTER_A_SENTENCE.test(last)) break;
    end -= 1;
  }
  return address.slice(0, end);
}

/** The text in pieces, which together are the text. */
export function linkParts(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = withoutPunctuation(match[0]);
    const href = webAddress(address);
    if (href === null) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index) });
    parts.push({ text: address, href });
    end = match.index + address.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}
