// Loading the page again when the server no longer has a file of it, as after
// an upgrade. Each build is given up at most once in a tab, so that a file that
// stays away never makes the page load again and again.

const KEY = 'emberkeep.reloadedFrom';

/** Whether a page of this build may be loaded again; `given` is what was noted before. */
export function mayReload(build: string, given: string | null): { may: boolean; note: string } {
  let builds: unknown = [];
  try {
    builds = JSON.parse(given ?? '[]');
  } catch {
    // Somebody else's text under this key counts as none.
  }
  const known = Array.isArray(builds) ? builds.filter((one) => typeof one === 'string') : [];
  if (build === '' || known.includes(build)) return { may: false, note: JSON.stringify(known) };
  return { may: true, note: JSON.stringify([...known, build]) };
}

/** Loads the page again unless that was tried for this build; tells whether it does. */
export function reloadOnce(): boolean {
  const build = document.querySelector<HTMLScriptElement>('script[type=module][src]')?.src ?? '';
  try {
    const { may, note } = mayReload(build, sessionStorage.getItem(KEY));
    if (!may) return false;
    sessionStorage.setItem(KEY, note);
  } catch {
    // Without a note there is nothing to stop a loop.
    return false;
  }
  location.reload();
  return true;
}

/** Whether the server answers a request for this page. */
export async function serverAnswers(): Promise<boolean> {
  try {
    const reply = await fetch(location.href, {
      method: 'HEAD',
      cache: 'no-store',
      credentials: 'same-origin',
    });
    // Gateways answer for a server that is away.
    return reply.status < 500;
  } catch {
    return false;
  }
}
