// Where this page is mounted. The server says how far up the root is, seen
// from the address of the page; so any prefix works, also one that a proxy
// adds and the server knows nothing of.

/** Path of the root, without a trailing slash ("" at the top). */
export function prefixOf(root: string, address: string): string {
  return new URL(root, address).pathname.replace(/\/+$/, '');
}

function ownPrefix(): string {
  if (typeof document === 'undefined') return '';
  const root = document.querySelector<HTMLMetaElement>('meta[name="root"]')?.content;
  return prefixOf(root ?? './', location.href);
}

/** Prefix of the page that was loaded; it never changes afterwards. */
export const pathPrefix = ownPrefix();
