// One way to call the server: unwraps the reply envelope, turns every failure
// into `ApiError`, and tells the connection store what it learned.
import { pathPrefix } from '../lib/prefix';
import { noteReachable, noteUnreachable } from './connection';

export class ApiError extends Error {
  /** The server's error type, "network" or "http". */
  readonly kind: string;

  constructor(kind: string, message: string) {
    super(message);
    this.name = 'ApiError';
    this.kind = kind;
  }
}

export interface Reply<T> {
  data: T;
  warnings: string[];
  infos: string[];
  /** Time from sending the request to having read the reply. */
  tookMs: number;
}

interface Envelope {
  status?: string;
  data?: unknown;
  errorType?: string;
  error?: string;
  warnings?: string[];
  infos?: string[];
}

export type Params = Record<string, string | number | undefined>;

function encode(params: Params): URLSearchParams {
  const out = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined) out.set(key, String(value));
  }
  return out;
}

async function call<T>(path: string, init: RequestInit): Promise<Reply<T>> {
  const started = performance.now();
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${pathPrefix}/api/v1/${path}`, { credentials: 'same-origin', ...init });
    text = await response.text();
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    noteUnreachable();
    throw new ApiError('network', 'The server did not answer.');
  }
  let envelope: Envelope;
  try {
    envelope = JSON.parse(text) as Envelope;
  } catch {
    noteReachable(response.status);
    const reason = text.trim().slice(0, 200) || response.statusText;
    throw new ApiError('http', `${response.status}: ${reason}`);
  }
  // A reply with an envelope comes from a server that is up and ready, even
  // when it reports a failed query with status 503.
  noteReachable(200);
  if (envelope.status !== 'success') {
    throw new ApiError(envelope.errorType ?? 'http', envelope.error ?? `status ${response.status}`);
  }
  return {
    // The envelope says "success", so the data has the shape of this path.
    data: envelope.data as T,
    warnings: envelope.warnings ?? [],
    infos: envelope.infos ?? [],
    tookMs: performance.now() - started,
  };
}

export function apiGet<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<Reply<T>> {
  const query = encode(params).toString();
  return call<T>(query === '' ? path : `${path}?${query}`, { signal: signal ?? null });
}

export function apiPost<T>(path: string, params: Params, signal?: AbortSignal): Promise<Reply<T>> {
  return call<T>(path, { method: 'POST', body: encode(params), signal: signal ?? null });
}
