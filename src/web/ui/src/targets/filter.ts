// Which targets are shown: pool, health and search text, kept in the address
// under the names `pool`, `health` (repeated) and `search`.
import type { ActiveTarget, RefusedSeries, TargetHealth } from '../api/types';
import { formatCount } from '../lib/number';
import { hasWords, wordsOf } from '../lib/search';
import { formatSeries } from '../lib/series';

export interface TargetFilter {
  pool: string | null;
  health: TargetHealth[];
  search: string;
}

const HEALTHS: readonly TargetHealth[] = ['up', 'down', 'unknown'];

export function decodeFilter(params: URLSearchParams): TargetFilter {
  const wanted = params.getAll('health').map((text) => text.toLowerCase());
  return {
    pool: params.get('pool'),
    health: HEALTHS.filter((health) => wanted.includes(health)),
    search: params.get('search') ?? '',
  };
}

export function encodeFilter(filter: TargetFilter): URLSearchParams {
  const params = new URLSearchParams();
  if (filter.pool) params.set('pool', filter.pool);
  for (const health of filter.health) params.append('health', health);
  if (filter.search !== '') params.set('search', filter.search);
  return params;
}

/** No chosen health means all; every word of the search must appear. */
export function isWanted(target: ActiveTarget, filter: TargetFilter): boolean {
  if (filter.pool && target.scrapePool !== filter.pool) return false;
  if (filter.health.length > 0 && !filter.health.includes(target.health)) return false;
  const words = wordsOf(filter.search);
  if (words.length === 0) return true;
  const text = `${target.scrapeUrl} ${formatSeries(target.labels)} ${target.lastError ?? ''}`.toLowerCase();
  return hasWords(words, text);
}

export interface Pool {
  name: string;
  /** All targets of the pool, whatever the filter. */
  total: number;
  up: number;
  down: number;
  /** New series of its targets that quotas left out. */
  refused: number;
  /** Those that pass the filter. */
  targets: ActiveTarget[];
}

/** Which new series of a target were left out and why, in words. */
export function refusedSeriesText(refused: RefusedSeries): string {
  const told = `${formatCount(refused.count)} new series not taken: ${refused.reason}`;
  if (!refused.metric) return told;
  const many = `${refused.metric} has ${formatCount(refused.metricSeries ?? 0)} series`;
  const label = refused.label
    ? `, label ${refused.label} has ${formatCount(refused.labelValues ?? 0)} values`
    : '';
  return `${told}; ${many}${label}`;
}

/** Pools by name, each with the targets that pass the filter. */
export function groupByPool(targets: readonly ActiveTarget[], filter: TargetFilter): Pool[] {
  const pools = new Map<string, Pool>();
  for (const target of targets) {
    let pool = pools.get(target.scrapePool);
    if (!pool) {
      pool = { name: target.scrapePool, total: 0, up: 0, down: 0, refused: 0, targets: [] };
      pools.set(target.scrapePool, pool);
    }
    pool.total += 1;
    if (target.health === 'up') pool.up += 1;
    if (target.health === 'down') pool.down += 1;
    pool.refused += target.refusedSeries?.count ?? 0;
    if (isWanted(target, filter)) pool.targets.push(target);
  }
  return [...pools.values()].sort((a, b) => a.name.localeCompare(b.name));
}
