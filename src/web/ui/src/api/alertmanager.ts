// Version 2 of Alertmanager's API, as this server answers it: no envelope, and
// errors as a text in JSON.

import { pathPrefix } from '../lib/prefix';
import type { Labels } from '../lib/series';
import { ApiError } from './client';
import { noteReachable, noteUnreachable } from './connection';

export interface ApiMatcher {
  name: string;
  value: string;
  isRegex: boolean;
  isEqual: boolean;
}

export type SilenceState = 'active' | 'pending' | 'expired';

export interface Silence {
  id: string;
  status: { state: SilenceState };
  updatedAt: string;
  startsAt: string;
  endsAt: string;
  createdBy: string;
  comment: string;
  matchers: ApiMatcher[];
}

export interface SilenceDraft {
  id?: string;
  matchers: ApiMatcher[];
  startsAt: string;
  endsAt: string;
  createdBy: string;
  comment: string;
}

export interface NotifiedAlert {
  labels: Labels;
  annotations: Labels;
  fingerprint: string;
  status: { state: string; silencedBy: string[]; inhibitedBy: string[] };
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${pathPrefix}/api/v2/${path}`, { credentials: 'same-origin', ...init });
    text = await response.text();
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    noteUnreachable();
    throw new ApiError('network', 'The server did not answer.');
  }
  noteReachable(response.status === 503 ? 200 : response.status);
  let value: unknown = null;
  try {
    value = text === '' ? null : JSON.parse(text);
  } catch {
    throw new ApiError('http', `${response.status}: ${text.trim().slice(0, 200)}`);
  }
  if (!response.ok)
    throw new ApiError('http', typeof value === 'string' ? value : `status ${response.status}`);
  // The status says that the body has the shape of this path.
  return value as T;
}

export function getSilences(signal?: AbortSignal): Promise<Silence[]> {
  return call('silences', { signal: signal ?? null });
}

/** The alerts that all of the filters match, such as `severity=~"a|b"`. */
export function getNotifiedAlerts(filters: string[], signal?: AbortSignal): Promise<NotifiedAlert[]> {
  const query = new URLSearchParams(filters.map((filter) => ['filter', filter]));
  return call(`alerts?${query}`, { signal: signal ?? null });
}

/** Makes or changes a silence; gives its id. */
export async function saveSilence(silence: SilenceDraft): Promise<string> {
  const headers = { 'Content-Type': 'application/json' };
  const saved = await call<{ silenceID: string }>('silences', {
    method: 'POST',
    headers,
    body: JSON.stringify(silence),
  });
  return saved.silenceID;
}

export async function expireSilence(id: string): Promise<void> {
  await call<null>(`silence/${encodeURIComponent(id)}`, { method: 'DELETE' });
}
