// What each rule of relabelling changes, told in pieces that a page can show.
import type { Labels } from '../lib/series';

export interface RelabelRule {
  source_labels?: string[];
  separator: string;
  regex: string;
  modulus?: number;
  target_label?: string;
  replacement: string;
  action: string;
}

export interface RelabelStep {
  rule: RelabelRule;
  output: Labels;
  keep: boolean;
}

export interface LabelChange {
  name: string;
  before?: string;
  after?: string;
}

export interface ShownStep {
  rule: string;
  /** What a step before it dropped, it is not asked about. */
  outcome: 'changed' | 'unchanged' | 'dropped' | 'skipped';
  changes: LabelChange[];
}

/** A rule on one line: what it says, without what says nothing. */
export function ruleText(rule: RelabelRule): string {
  const parts = [rule.action];
  if (rule.source_labels?.length) parts.push(`[${rule.source_labels.join(', ')}]`);
  if (rule.separator !== ';') parts.push(`separator ${JSON.stringify(rule.separator)}`);
  if (rule.regex !== '(.*)') parts.push(`regex ${rule.regex}`);
  if (rule.modulus) parts.push(`modulus ${rule.modulus}`);
  if (rule.replacement !== '$1') parts.push(`replacement ${JSON.stringify(rule.replacement)}`);
  if (rule.target_label) parts.push(`→ ${rule.target_label}`);
  return parts.join(' ');
}

/** The labels that differ, by name. */
export function changesBetween(before: Labels, after: Labels): LabelChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names
    .filter((name) => before[name] !== after[name])
    .map((name) => ({
      name,
      ...(before[name] !== undefined && { before: before[name] }),
      ...(after[name] !== undefined && { after: after[name] }),
    }));
}

export function shownSteps(discovered: Labels, steps: readonly RelabelStep[]): ShownStep[] {
  let labels = discovered;
  let isDropped = false;
  return steps.map(({ rule, output, keep }) => {
    const shown = { rule: ruleText(rule), changes: [] as LabelChange[] };
    if (isDropped) return { ...shown, outcome: 'skipped' };
    if (!keep) {
      isDropped = true;
      return { ...shown, outcome: 'dropped' };
    }
    const changes = changesBetween(labels, output);
    labels = output;
    return { ...shown, changes, outcome: changes.length > 0 ? 'changed' : 'unchanged' };
  });
}
