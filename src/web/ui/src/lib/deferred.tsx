// Components whose code is loaded when first needed. Unlike React's own lazy
// components they do not suspend: React holds back what it reveals after a
// suspension for a few hundred milliseconds, which a graph opened by its link
// would pay twice. What could not be loaded is asked for again once the server
// answers.
import { type ComponentType, type ReactNode, useEffect, useState } from 'react';
import { Problem } from '../query/Messages';
import { reloadOnce, serverAnswers } from './reload';

type Deferred<P> = ComponentType<P & { fallback?: ReactNode }> & { preload(): Promise<void> };

type Trouble = 'none' | 'away' | 'gone';

const TEXTS = {
  away: 'The server does not answer. It is asked again until it does.',
  gone: 'The server answers, but no longer has this part of the page. It is asked again now and then; the page may have to be loaded anew.',
} as const;

/** Pauses between attempts while the server is away, and when it has not got the file. */
const PAUSE_MS = { away: 2000, gone: 30_000 } as const;

/** Tries until it works; says in between what is wrong. */
function keepTrying(load: () => Promise<void>, tell: (trouble: Trouble) => void): () => void {
  let isWanted = true;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const later = (trouble: 'away' | 'gone') => {
    tell(trouble);
    timer = setTimeout(() => void again(), PAUSE_MS[trouble]);
  };
  const attempt = () =>
    load().then(
      () => true,
      () => false,
    );
  const again = async () => {
    const answers = await serverAnswers();
    if (!isWanted) return;
    if (!answers) return later('away');
    const hasWorked = await attempt();
    if (!isWanted) return;
    if (hasWorked) tell('none');
    else if (!reloadOnce()) later('gone');
  };
  void attempt().then((hasWorked) => {
    if (!isWanted) return;
    if (hasWorked) tell('none');
    else void again();
  });
  return () => {
    isWanted = false;
    clearTimeout(timer);
  };
}

export function deferred<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): Deferred<P> {
  let loaded: ComponentType<P> | null = null;
  let pending: Promise<void> | null = null;

  const preload = () => {
    pending ??= load().then(
      (module) => {
        loaded = module.default;
      },
      (cause: unknown) => {
        // The next attempt asks again.
        pending = null;
        throw cause;
      },
    );
    return pending;
  };

  function Component({ fallback = null, ...props }: P & { fallback?: ReactNode }) {
    // An object each time, so that "none" is news too.
    const [{ trouble }, setState] = useState<{ trouble: Trouble }>({ trouble: 'none' });
    useEffect(() => {
      if (loaded) return;
      return keepTrying(preload, (next) => setState({ trouble: next }));
    }, []);
    if (loaded) {
      const Loaded = loaded;
      // What is left after taking `fallback` off are the component's own props.
      return <Loaded {...(props as unknown as P)} />;
    }
    if (trouble === 'none') return fallback;
    return (
      <>
        {fallback}
        <Problem title="This part of the page could not be loaded" text={TEXTS[trouble]} />
      </>
    );
  }
  return Object.assign(Component, { preload });
}
