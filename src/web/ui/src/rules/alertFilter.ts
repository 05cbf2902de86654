// Which alerts are shown and how they are ordered; kept in the address under
// the names `state` (repeated), `search` and `order`.
import type { Alert, AlertingRule, RuleGroup, RuleState } from '../api/types';
import { hasWords, wordsOf } from '../lib/search';
import { alertText, groupKey, ruleText } from './texts';

export type AlertOrder = 'group' | 'state';

export interface AlertFilter {
  states: RuleState[];
  search: string;
  order: AlertOrder;
}

/** The most urgent first. */
export const STATES: readonly RuleState[] = ['firing', 'pending', 'inactive', 'unknown'];

export function decodeAlertFilter(params: URLSearchParams): AlertFilter {
  const wanted = params.getAll('state').map((text) => text.toLowerCase());
  return {
    states: STATES.filter((state) => wanted.includes(state)),
    search: params.get('search') ?? '',
    order: params.get('order') === 'state' ? 'state' : 'group',
  };
}

export function encodeAlertFilter({ states, search, order }: AlertFilter): URLSearchParams {
  const params = new URLSearchParams();
  for (const state of states) params.append('state', state);
  if (search !== '') params.set('search', search);
  if (order !== 'group') params.set('order', order);
  return params;
}

export interface ShownRule {
  /** The same for the same rule in the next reply. */
  key: string;
  group: RuleGroup;
  rule: AlertingRule;
  /** Those that pass the filter, firing ones first. */
  alerts: Alert[];
}

export interface AlertView {
  /** Rules that pass the filter, in the order that is wanted. */
  shown: ShownRule[];
  /** Rules that each state alone would show, whatever the filter. */
  rules: Record<RuleState, number>;
  /** Alerts, whatever the filter. */
  firing: number;
  pending: number;
}

const countOf = (alerts: readonly Alert[], state: RuleState) =>
  alerts.reduce((count, alert) => count + (alert.state === state ? 1 : 0), 0);

/** Alerts with every word in their labels, or in those of their rule, and one of the states, if any are wanted. */
function wantedAlerts(rule: AlertingRule, about: string, words: string[], states: RuleState[]): Alert[] {
  const wanted = (rule.alerts ?? []).filter(
    (alert) =>
      (states.length === 0 || states.includes(alert.state)) &&
      (words.length === 0 || hasWords(words, about, alertText(alert))),
  );
  return wanted.sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state));
}

/** Everything the page of alerts shows of a reply. */
export function viewAlerts(groups: readonly RuleGroup[], filter: AlertFilter): AlertView {
  const words = wordsOf(filter.search);
  const view: AlertView = {
    shown: [],
    rules: { firing: 0, pending: 0, inactive: 0, unknown: 0 },
    firing: 0,
    pending: 0,
  };
  for (const group of groups) {
    group.rules.forEach((rule, index) => {
      if (rule.type !== 'alerting') return;
      const firing = countOf(rule.alerts ?? [], 'firing');
      const pending = countOf(rule.alerts ?? [], 'pending');
      view.firing += firing;
      view.pending += pending;
      if (firing > 0) view.rules.firing += 1;
      if (pending > 0) view.rules.pending += 1;
      if (firing + pending === 0) view.rules[rule.state] += 1;

      const about = ruleText(group, rule);
      const alerts = wantedAlerts(rule, about, words, filter.states);
      const isWanted = filter.states.length === 0 || filter.states.includes(rule.state);
      if (alerts.length > 0 || (isWanted && hasWords(words, about))) {
        view.shown.push({ key: `${groupKey(group)};${rule.name};${index}`, group, rule, alerts });
      }
    });
  }
  if (filter.order === 'state') {
    view.shown.sort(
      (a, b) =>
        STATES.indexOf(a.rule.state) - STATES.indexOf(b.rule.state) || a.rule.name.localeCompare(b.rule.name),
    );
  }
  return view;
}
