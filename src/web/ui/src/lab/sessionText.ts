// The rule file that is being worked on, kept for this tab.
import { keepSessionValue, sessionValue } from '../lib/session';

const KEY = 'emberkeep.lab.file';

export const sessionText = {
  get: () => sessionValue(KEY, (value): value is string => typeof value === 'string') ?? '',
  set: (text: string) => keepSessionValue(KEY, text),
};
