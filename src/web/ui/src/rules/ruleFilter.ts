// Which rules are shown and how they are ordered; kept in the address under
// the names `health` (repeated), `type`, `search` and `order`.
import type { Rule, RuleGroup, RuleHealth } from '../api/types';
import { hasWords, wordsOf } from '../lib/search';
import { groupKey, ruleText } from './texts';

export type RuleOrder = 'file' | 'slowest';

export interface RuleFilter {
  health: RuleHealth[];
  type: Rule['type'] | null;
  search: string;
  order: RuleOrder;
}

const HEALTHS: readonly RuleHealth[] = ['ok', 'err', 'unknown'];

export function decodeRuleFilter(params: URLSearchParams): RuleFilter {
  const wanted = params.getAll('health').map((text) => text.toLowerCase());
  const type = params.get('type');
  return {
    health: HEALTHS.filter((health) => wanted.includes(health)),
    type: type === 'alerting' || type === 'recording' ? type : null,
    search: params.get('search') ?? '',
    order: params.get('order') === 'slowest' ? 'slowest' : 'file',
  };
}

export function encodeRuleFilter({ health, type, search, order }: RuleFilter): URLSearchParams {
  const params = new URLSearchParams();
  for (const one of health) params.append('health', one);
  if (type) params.set('type', type);
  if (search !== '') params.set('search', search);
  if (order !== 'file') params.set('order', order);
  return params;
}

export interface ShownGroup {
  key: string;
  group: RuleGroup;
  /** Those that pass the filter, in the order that is wanted. */
  rules: Rule[];
  /** Rules of the whole group whose last evaluation failed. */
  failed: number;
}

export interface RuleView {
  /** Groups with a rule that passes the filter. */
  shown: ShownGroup[];
  /** Rules by health, whatever the filter. */
  health: Record<RuleHealth, number>;
  total: number;
}

export const healthOf = (rule: Rule): RuleHealth => rule.health ?? 'unknown';

const slowestFirst = (a: { evaluationTime?: number }, b: { evaluationTime?: number }) =>
  (b.evaluationTime ?? 0) - (a.evaluationTime ?? 0);

/** Everything the page of rules shows of a reply. */
export function viewRules(groups: readonly RuleGroup[], filter: RuleFilter): RuleView {
  const words = wordsOf(filter.search);
  const view: RuleView = { shown: [], health: { ok: 0, err: 0, unknown: 0 }, total: 0 };
  for (const group of groups) {
    let failed = 0;
    const rules = group.rules.filter((rule) => {
      const health = healthOf(rule);
      view.health[health] += 1;
      if (health === 'err') failed += 1;
      return (
        (filter.health.length === 0 || filter.health.includes(health)) &&
        (filter.type === null || filter.type === rule.type) &&
        (words.length === 0 || hasWords(words, ruleText(group, rule)))
      );
    });
    view.total += group.rules.length;
    if (filter.order === 'slowest') rules.sort(slowestFirst);
    if (rules.length > 0) view.shown.push({ key: groupKey(group), group, rules, failed });
  }
  if (filter.order === 'slowest') view.shown.sort((a, b) => slowestFirst(a.group, b.group));
  return view;
}
