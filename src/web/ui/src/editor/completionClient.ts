// Where the editor's completion gets its facts: the server's metadata
// endpoints, through the page's query cache so that panels share them.
import type { PrometheusClient } from '@prometheus-io/codemirror-promql';
import { EqlRegex, EqlSingle, Neq, NeqRegex } from '@prometheus-io/lezer-promql';
import type { QueryClient } from '@tanstack/react-query';
import { apiGet, apiPost } from '../api/client';
import type { MetadataMap } from '../api/types';
import { quote } from '../lib/series';

const FIVE_MINUTES = 5 * 60 * 1000;
const OPERATORS: Readonly<Record<number, string>> = {
  [EqlSingle]: '=',
  [Neq]: '!=',
  [EqlRegex]: '=~',
  [NeqRegex]: '!~',
};

interface EditedMatcher {
  type: number;
  name: string;
  value: string;
}

/** Selector for what is typed so far, without the label being completed. */
function selectorOf(metric: string | undefined, matchers: EditedMatcher[] = [], without?: string) {
  const parts = metric ? [`__name__=${quote(metric)}`] : [];
  for (const { type, name, value } of matchers) {
    if (name === without || name === '' || value === '') continue;
    parts.push(`${name}${OPERATORS[type] ?? '='}${quote(value)}`);
  }
  return parts.length === 0 ? undefined : `{${parts.join(',')}}`;
}

export function newCompletionClient(queries: QueryClient): PrometheusClient {
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
    metricMetadata: () => ask<MetadataMap>(['metadata'], () => apiGet('metadata'), {}),
    labelNames(metric) {
      const match = selectorOf(metric);
      return ask<string[]>(['labels', match], () => apiPost('labels', { 'match[]': match }), []);
    },
    labelValues(label, metric, matchers) {
      if (label === '__name__' && !metric) return metricNames();
      const match = selectorOf(metric, matchers, label);
      const path = `label/${encodeURIComponent(label)}/values`;
      return ask<string[]>(['label-values', label, match], () => apiGet(path, { 'match[]': match }), []);
    },
    series(metric, matchers, label) {
      const match = selectorOf(metric, matchers, label) ?? '{__name__!=""}';
      return ask<Map<string, string>[]>(['series', match], () => apiPost('series', { 'match[]': match }), []);
    },
    flags: () => ask<Record<string, string>>(['flags-for-completion'], () => apiGet('status/flags'), {}),
  };
}
