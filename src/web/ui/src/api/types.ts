// Shapes of the server's replies. Fields that some servers leave out are
// optional, and pages must cope without them.
import type { Labels } from '../lib/series';

export type SamplePair = [time: number, value: string];

export interface HistogramValue {
  count: string;
  sum: string;
  buckets?: Array<[boundary: number, lower: string, upper: string, count: string]>;
}

export type HistogramPair = [time: number, histogram: HistogramValue];

export interface InstantSample {
  metric: Labels;
  value?: SamplePair;
  histogram?: HistogramPair;
}

export interface RangeSeries {
  metric: Labels;
  values?: SamplePair[];
  histograms?: HistogramPair[];
}

export type QueryData =
  | { resultType: 'vector'; result: InstantSample[] }
  | { resultType: 'matrix'; result: RangeSeries[] }
  | { resultType: 'scalar'; result: SamplePair }
  | { resultType: 'string'; result: SamplePair };

export interface MetricMetadata {
  type: string;
  help: string;
  unit?: string;
}

export type MetadataMap = Record<string, MetricMetadata[]>;

export type TargetHealth = 'up' | 'down' | 'unknown';

/** Samples of a scrape that were not taken for their time. */
export interface RefusedSamples {
  outOfOrder: number;
  duplicate: number;
  tooOld: number;
  tooFarAhead: number;
}

/** New series of a scrape that a quota left out, and what the target has so many series of. */
export interface RefusedSeries {
  count: number;
  reason: string;
  metric: string | null;
  metricSeries: number | null;
  label: string | null;
  labelValues: number | null;
}

export interface ActiveTarget {
  discoveredLabels?: Labels;
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  globalUrl?: string;
  lastError?: string;
  lastScrape?: string;
  lastScrapeDuration?: number;
  health: TargetHealth;
  scrapeInterval?: string;
  scrapeTimeout?: string;
  refusedSamples?: RefusedSamples;
  refusedSeries?: RefusedSeries;
}

export interface DroppedTarget {
  discoveredLabels: Labels;
  scrapePool?: string;
}

export interface TargetsData {
  activeTargets?: ActiveTarget[] | null;
  droppedTargets?: DroppedTarget[] | null;
  droppedTargetCounts?: Record<string, number> | null;
}

export interface MechanismStatus {
  mechanism: string;
  what: string;
  targets: number;
  lastRefresh: string | null;
  lastDuration: number | null;
  nextRefresh: string | null;
  lastError: string | null;
  lastErrorTime: string | null;
  changes: { at: string; added: number; removed: number }[];
}

export interface SetStatus {
  name: string;
  mechanisms: MechanismStatus[];
}

export interface DiscoveryData {
  jobs: SetStatus[];
  alertmanagers: SetStatus[];
}

export type AlertState = 'pending' | 'firing';

export interface Alert {
  labels: Labels;
  annotations?: Labels;
  state: AlertState;
  activeAt?: string;
  /** Set while the alert goes on firing although its series is gone. */
  keepFiringSince?: string;
  value?: string;
}

export type RuleHealth = 'ok' | 'err' | 'unknown';

interface RuleFacts {
  name: string;
  query: string;
  labels?: Labels;
  health?: RuleHealth;
  lastError?: string;
  /** Seconds. */
  evaluationTime?: number;
  lastEvaluation?: string;
}

export interface RecordingRule extends RuleFacts {
  type: 'recording';
}

/** The highest state of a rule's alerts; unknown before the first evaluation. */
export type RuleState = AlertState | 'inactive' | 'unknown';

export interface AlertingRule extends RuleFacts {
  type: 'alerting';
  state: RuleState;
  /** Seconds that a series must be there before its alert fires. */
  duration?: number;
  /** Seconds that an alert goes on firing after its series is gone. */
  keepFiringFor?: number;
  annotations?: Labels;
  /** Null when the request left them out. */
  alerts?: Alert[] | null;
  /** Instead of the alerts, when the request left them out. */
  alertCounts?: Record<AlertState, number>;
}

export type Rule = AlertingRule | RecordingRule;

export interface RuleGroup {
  name: string;
  file: string;
  /** Seconds. */
  interval: number;
  /** Most series or alerts of a rule; 0 is no limit. */
  limit?: number;
  /** Seconds that its queries look back, where the group says so itself; an extension. */
  queryOffset?: number;
  rules: Rule[];
  /** Seconds. */
  evaluationTime?: number;
  lastEvaluation?: string;
}

export interface RulesData {
  groups?: RuleGroup[] | null;
}

export interface AlertmanagersData {
  activeAlertmanagers?: Array<{ url: string }> | null;
  droppedAlertmanagers?: Array<{ url: string }> | null;
}

export interface NamedCount {
  name: string;
  value: number;
}

export interface TsdbStatus {
  headStats?: {
    numSeries?: number;
    numLabelPairs?: number;
    chunkCount?: number;
    minTime?: number;
    maxTime?: number;
  };
  seriesCountByMetricName?: NamedCount[] | null;
  labelValueCountByLabelName?: NamedCount[] | null;
  memoryInBytesByLabelName?: NamedCount[] | null;
  seriesCountByLabelValuePair?: NamedCount[] | null;
}

export type StatusMap = Record<string, string | number | boolean | null | Record<string, number>>;
