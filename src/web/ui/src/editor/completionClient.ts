// Where the editor's completion gets its facts: the server's metadata
// endpoints, through the page's query cache so that panels share them.
import type { PrometheusClient } from '@prometheus-io/codemirror-promql';
import type { QueryClient } from '@tanstack/react-query';
import { apiGet, apiPost } from '../api/client';
import type { MetadataMap } from '../api/types';

const FIVE_MINUTES = 5 * 60 * 1000;

/** What completion asks for; `selector` narrows to labels of matching series. */
export interface Facts {
  metricNames(): Promise<string[]>;
  metadata(): Promise<MetadataMap>;
  labelNames(selector?: string): Promise<string[]>;
  labelValues(label: string, selector?: string): Promise<string[]>;
}

/** A label name as a part of a path: names that a path cannot hold are written as Prometheus does. */
export function labelInPath(name: string): string {
  if (/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) && !name.startsWith('U__')) return name;
  const escaped = Array.from(name, (char, index) => {
    if (char === '_') return '__';
    if (/[a-zA-Z]/.test(char) || (index > 0 && /[0-9]/.test(char))) return char;
    return `_${char.codePointAt(0)!.toString(16)}_`;
  });
  return `U__${escaped.join('')}`;
}

export function factsOf(queries: QueryClient): Facts {
  // Completion goes on without facts when the server does not answer.
  const ask = <T>(key: unknown[], load: () => Promise<{ data: T }>, fallback: T): Promise<T> =>
    queries
      .fetchQuery({
        queryKey: key,
        queryFn: async () => (await load()).data,
        staleTime: FIVE_MINUTES,
        retry: false,
      })
      .catch(() => fallback);

  const metricNames = () => ask<string[]>(['metric-names'], () => apiGet('label/__name__/values'), []);
  return {
    metricNames,
    metadata: () => ask<MetadataMap>(['metadata'], () => apiGet('metadata'), {}),
    labelNames: (selector) =>
      ask<string[]>(['labels', selector], () => apiPost('labels', { 'match[]': selector }), []),
    labelValues(label, selector) {
      if (label === '__name__' && selector === undefined) return metricNames();
      const path = `label/${labelInPath(label)}/values`;
      return ask<string[]>(
        ['label-values', label, selector],
        () => apiGet(path, { 'match[]': selector }),
        [],
      );
    },
  };
}

/** The same facts for the library's own completion, which only completes metrics, functions and keywords here. */
export function newCompletionClient(facts: Facts): PrometheusClient {
  return {
    metricNames: () => facts.metricNames(),
    metricMetadata: () => facts.metadata(),
    labelNames: () => facts.labelNames(),
    labelValues: (label) => facts.labelValues(label),
    series: () => Promise.resolve([]),
    flags: () => Promise.resolve({}),
  };
}
