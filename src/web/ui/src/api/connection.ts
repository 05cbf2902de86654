// What is known about the server behind the page: whether it answers, whether
// it is ready, and how far its clock is from the browser's.
import { createStore } from '../lib/store';

export interface Connection {
  state: 'ok' | 'unready' | 'unreachable';
  /** Server clock minus browser clock, null until measured. */
  skewMs: number | null;
}

export const connectionStore = createStore<Connection>({ state: 'ok', skewMs: null });

function setState(state: Connection['state']) {
  connectionStore.set((current) => (current.state === state ? current : { ...current, state }));
}

export function noteUnreachable() {
  setState('unreachable');
}

/** Any HTTP reply proves that something answers; gateways answer for a dead server. */
export function noteReachable(status: number) {
  if (status === 502 || status === 504) setState('unreachable');
  else if (status === 503) setState('unready');
  else setState('ok');
}

export function noteClock(serverMs: number, sentMs: number, receivedMs: number) {
  const skewMs = serverMs - (sentMs + receivedMs) / 2;
  connectionStore.set((current) => ({ ...current, skewMs }));
}
