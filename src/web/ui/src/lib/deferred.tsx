// Components whose code is loaded when first needed. Unlike React's own lazy
// components they do not suspend: React holds back what it reveals after a
// suspension for a few hundred milliseconds, which a graph opened by its link
// would pay twice.
import { type ComponentType, type ReactNode, useEffect, useState } from 'react';

type Deferred<P> = ComponentType<P & { fallback?: ReactNode }> & { preload(): Promise<void> };

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
    const [state, setState] = useState<{ failure?: Error }>({});
    useEffect(() => {
      if (loaded) return;
      let isCurrent = true;
      preload().then(
        () => isCurrent && setState({}),
        (cause: unknown) =>
          isCurrent && setState({ failure: cause instanceof Error ? cause : new Error(String(cause)) }),
      );
      return () => {
        isCurrent = false;
      };
    }, []);
    if (state.failure) throw state.failure;
    if (!loaded) return fallback;
    const Loaded = loaded;
    // What is left after taking `fallback` off are the component's own props.
    return <Loaded {...(props as unknown as P)} />;
  }
  return Object.assign(Component, { preload });
}
