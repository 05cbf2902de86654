// Where this page is mounted. Every route is one level deep, so everything
// before the last slash of the address is the prefix the server runs under.

/** Prefix of a page address, without a trailing slash ("" at the root). */
export function prefixOf(pathname: string): string {
  return pathname.slice(0, Math.max(pathname.lastIndexOf('/'), 0));
}

/** Prefix of the page that was loaded; it never changes afterwards. */
export const pathPrefix = prefixOf(globalThis.location?.pathname ?? '/');
