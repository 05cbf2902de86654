// What was typed and not run, kept for the way back to the page in this tab.
import { keepSessionValue, sessionValue } from '../lib/session';

const KEY = 'emberkeep.drafts';

interface Drafts {
  /** The address part they belong to. */
  search: string;
  /** One for each panel in order; null where what was run is shown. */
  texts: Array<string | null>;
}

const isDrafts = (value: unknown): value is Drafts =>
  typeof value === 'object' &&
  value !== null &&
  'search' in value &&
  typeof value.search === 'string' &&
  'texts' in value &&
  Array.isArray(value.texts) &&
  value.texts.every((text) => text === null || typeof text === 'string');

let last: Drafts | null = null;

/** The drafts of the panels at this address, none when the last ones belong to another. */
export function draftsOf(search: string): ReadonlyArray<string | null> {
  const drafts = last ?? sessionValue(KEY, isDrafts);
  return drafts?.search === search ? drafts.texts : [];
}

export function keepDrafts(search: string, texts: Array<string | null>) {
  last = { search, texts };
  keepSessionValue(KEY, last);
}
