// What rules and alerts are searched by, and the names they are remembered by.
import type { Alert, Rule, RuleGroup } from '../api/types';
import { formatSeries } from '../lib/series';

// Replies that are equal are the same objects, so texts are made once.
const kept = new WeakMap<object, string>();

function keep(of: object, make: () => string): string {
  let text = kept.get(of);
  if (text === undefined) {
    text = make().toLowerCase();
    kept.set(of, text);
  }
  return text;
}

/** The labels of an alert, in lower case. */
export function alertText(alert: Alert): string {
  return keep(alert, () => formatSeries(alert.labels));
}

/** Name and labels of a rule, its group and its file, in lower case. */
export function ruleText(group: RuleGroup, rule: Rule): string {
  return `${rule.name} ${formatSeries(rule.labels ?? {})} ${group.name} ${group.file}`.toLowerCase();
}

/** A group's own name: names of groups are unique in a file. */
export function groupKey(group: RuleGroup): string {
  return `${group.file};${group.name}`;
}
