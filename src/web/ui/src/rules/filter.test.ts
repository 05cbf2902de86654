// Which alerts and rules pass the filters, in which order, and the filters in the address.
import { expect, it } from 'vitest';
import type { Alert, AlertingRule, RecordingRule, RuleGroup } from '../api/types';
import { type AlertFilter, decodeAlertFilter, encodeAlertFilter, viewAlerts } from './alertFilter';
import { decodeRuleFilter, encodeRuleFilter, type RuleFilter, viewRules } from './ruleFilter';

const alert = (state: Alert['state'], instance: string): Alert => ({
  state,
  labels: { alertname: 'Down', instance, path: 'a"b' },
});
const alerting = (patch: Partial<AlertingRule>): AlertingRule => ({
  type: 'alerting',
  name: 'Down',
  query: 'up == 0',
  state: 'inactive',
  health: 'ok',
  labels: { severity: 'page' },
  alerts: [],
  ...patch,
});
const recording: RecordingRule = { type: 'recording', name: 'job:up', query: 'sum(up)', evaluationTime: 2 };
const group = (name: string, patch: Partial<RuleGroup>): RuleGroup => ({
  name,
  file: 'rules.yml',
  interval: 30,
  rules: [],
  ...patch,
});
const groups = [
  group('quiet', { rules: [alerting({ name: 'Never' }), recording], evaluationTime: 2 }),
  group('loud', {
    rules: [
      alerting({ state: 'firing', alerts: [alert('pending', 'a:1'), alert('firing', 'b:2')] }),
      alerting({ name: 'New', state: 'unknown', health: 'unknown' }),
      alerting({ name: 'Broken', health: 'err', evaluationTime: 1 }),
    ],
    evaluationTime: 3,
  }),
];
const everyAlert: AlertFilter = { states: [], search: '', order: 'group' };
const everyRule: RuleFilter = { health: [], type: null, search: '', order: 'file' };
const alertsShown = (patch: Partial<AlertFilter>) =>
  viewAlerts(groups, { ...everyAlert, ...patch }).shown.map(({ rule, alerts }) =>
    [rule.name, ...alerts.map(({ labels }) => labels.instance)].join(' '),
  );
const rulesShown = (patch: Partial<RuleFilter>) =>
  viewRules(groups, { ...everyRule, ...patch }).shown.map(({ group, rules }) =>
    [group.name, ...rules.map(({ name }) => name)].join(' '),
  );

it('keeps the filters in the address', () => {
  const alerts: AlertFilter = { states: ['firing', 'inactive'], search: 'a=b&c', order: 'state' };
  expect(decodeAlertFilter(new URLSearchParams(encodeAlertFilter(alerts).toString()))).toEqual(alerts);
  expect(encodeAlertFilter(everyAlert).toString()).toBe('');
  expect(decodeAlertFilter(new URLSearchParams('state=FIRING&state=odd&order=odd'))).toEqual({
    ...everyAlert,
    states: ['firing'],
  });
  const rules: RuleFilter = { health: ['err'], type: 'recording', search: 'x y', order: 'slowest' };
  expect(decodeRuleFilter(new URLSearchParams(encodeRuleFilter(rules).toString()))).toEqual(rules);
  expect(encodeRuleFilter(everyRule).toString()).toBe('');
  expect(decodeRuleFilter(new URLSearchParams('health=odd&type=odd'))).toEqual(everyRule);
});

it('shows alerting rules with their alerts, firing ones first', () => {
  expect(alertsShown({})).toEqual(['Never', 'Down b:2 a:1', 'New', 'Broken']);
  expect(alertsShown({ order: 'state' })).toEqual(['Down b:2 a:1', 'Broken', 'Never', 'New']);
});

it('filters alerts by state', () => {
  expect(alertsShown({ states: ['pending'] })).toEqual(['Down a:1']);
  expect(alertsShown({ states: ['firing', 'unknown'] })).toEqual(['Down b:2', 'New']);
  expect(alertsShown({ states: ['inactive'] })).toEqual(['Never', 'Broken']);
});

it('searches names and labels of rules and alerts for every word', () => {
  expect(alertsShown({ search: 'DOWN b:2' })).toEqual(['Down b:2']);
  expect(alertsShown({ search: 'instance="a:1"' })).toEqual(['Down a:1']);
  expect(alertsShown({ search: 'path="a\\"b"' })).toEqual(['Down b:2 a:1']);
  expect(alertsShown({ search: 'severity="page" quiet' })).toEqual(['Never']);
  expect(alertsShown({ search: 'instance="c:3"' })).toEqual([]);
  expect(alertsShown({ search: 'b:2', states: ['pending'] })).toEqual([]);
});

it('counts alerts and rules whatever the filter', () => {
  const { rules, firing, pending } = viewAlerts(groups, { ...everyAlert, search: 'nothing' });
  expect([firing, pending]).toEqual([1, 1]);
  expect(rules).toEqual({ firing: 1, pending: 1, inactive: 2, unknown: 1 });
});

it('names each rule, also those of the same name', () => {
  const twice = [group('twins', { rules: [alerting({}), alerting({})] })];
  const keys = viewAlerts(twice, everyAlert).shown.map(({ key }) => key);
  expect(new Set(keys).size).toBe(2);
});

it('filters rules by health, kind and words', () => {
  expect(rulesShown({})).toEqual(['quiet Never job:up', 'loud Down New Broken']);
  expect(rulesShown({ health: ['err'] })).toEqual(['loud Broken']);
  // Servers that say nothing of a rule's health have not evaluated it.
  expect(rulesShown({ health: ['unknown'] })).toEqual(['quiet job:up', 'loud New']);
  expect(rulesShown({ type: 'recording' })).toEqual(['quiet job:up']);
  expect(rulesShown({ search: 'loud severity="page" down' })).toEqual(['loud Down']);
});

it('puts slow groups and slow rules first', () => {
  expect(rulesShown({ order: 'slowest' })).toEqual(['loud Broken Down New', 'quiet job:up Never']);
  // The reply itself stays in its order.
  expect(groups[1]!.rules.map(({ name }) => name)).toEqual(['Down', 'New', 'Broken']);
});

it('counts the health of all rules and the failures of whole groups', () => {
  const { shown, health, total } = viewRules(groups, { ...everyRule, search: 'Down' });
  expect(health).toEqual({ ok: 2, err: 1, unknown: 2 });
  expect(total).toBe(5);
  expect(shown.map(({ failed }) => failed)).toEqual([1]);
});
