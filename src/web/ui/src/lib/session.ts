// Values that are kept for this tab, over reloads of the page too.

/** The value kept under a key; null when there is none or it is not what `isValid` expects. */
export function sessionValue<T>(key: string, isValid: (value: unknown) => value is T): T | null {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(key) ?? 'null');
    return isValid(value) ? value : null;
  } catch {
    return null;
  }
}

/** Keeps a value; tells whether the browser took it. */
export function keepSessionValue(key: string, value: unknown): boolean {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    // Private windows and full storage refuse writes.
    return false;
  }
}
