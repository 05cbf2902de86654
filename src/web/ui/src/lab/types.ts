// Replies of the lab and of the timeline. Times are seconds since 1970.
import type { AlertState, SamplePair } from '../api/types';
import type { Labels } from '../lib/series';

export interface Span {
  state: AlertState;
  from: number;
  /** Null while it lasts. */
  to: number | null;
  /** It was so already when the history began. */
  sinceBefore?: boolean;
  peak?: string;
}

export interface Totals {
  firings: number;
  firingsPerWeek: number;
  pending: number;
  /** Pending alerts that were over before they fired. */
  pendingPassed: number;
  firingSeconds: number;
  longestFiringSeconds: number;
}

export interface AlertHistory extends Totals {
  labels: Labels;
  annotations?: Labels;
  spans: Span[];
}

export interface PlayedRule {
  name: string;
  query: string;
  duration: number;
  keepFiringFor: number;
  labels: Labels;
  annotations: Labels;
}

export interface Threshold {
  operator: string;
  value: string;
  left: string;
}

export interface Backtest {
  rule: PlayedRule;
  start: number;
  end: number;
  interval: number;
  evaluations: number;
  failedEvaluations: number;
  firstEvaluation: number;
  lastEvaluation: number;
  threshold: Threshold | null;
  totals: Totals;
  alertCount: number;
  alerts: AlertHistory[];
  series: Array<{ metric: Labels; values: SamplePair[] }>;
  seriesLeftOut: boolean;
}

export interface Outcome {
  rule: PlayedRule;
  error?: string;
  alertCount?: number;
  failedEvaluations?: number;
  totals?: Totals;
}

export interface ComparedRule {
  group: string;
  alert: string;
  isSame: boolean;
  both: number;
  onlyCurrent: number;
  onlyProposed: number;
  current: Outcome | null;
  proposed: Outcome | null;
}

export interface Comparison {
  start: number;
  end: number;
  rules: ComparedRule[];
  recorded: string[];
  missing: Array<{ name: string; error: string }>;
}

export interface TimelineGroup {
  alertname: string;
  firings: number;
  firingSeconds: number;
  alerts: Array<{ labels: Labels; spans: Span[] }>;
}

export interface Timeline {
  start: number;
  end: number;
  groups: TimelineGroup[];
  alertCount: number;
}
