// Jobs with what discovery found for them: targets that are scraped and targets that a rule dropped.
import type { ActiveTarget, DroppedTarget, MechanismStatus, SetStatus } from '../api/types';
import { hasWords, wordsOf } from '../lib/search';
import { formatSeries, type Labels } from '../lib/series';

export interface FoundTarget {
  discovered: Labels;
  /** None where a rule dropped it. */
  labels?: Labels;
}

export interface Job {
  name: string;
  mechanisms: readonly MechanismStatus[];
  active: number;
  dropped: number;
  /** Those that pass the search. */
  targets: FoundTarget[];
}

export function jobsOf(
  active: readonly ActiveTarget[],
  dropped: readonly DroppedTarget[],
  droppedCounts: Readonly<Record<string, number>>,
  sets: readonly SetStatus[],
  search: string,
): Job[] {
  const jobs = new Map<string, Job>();
  const job = (name: string): Job => {
    let known = jobs.get(name);
    if (!known) {
      known = { name, mechanisms: [], active: 0, dropped: 0, targets: [] };
      jobs.set(name, known);
    }
    return known;
  };
  const words = wordsOf(search);
  const add = (name: string, target: FoundTarget) => {
    const text = `${formatSeries(target.discovered)} ${formatSeries(target.labels ?? {})}`.toLowerCase();
    if (hasWords(words, text)) job(name).targets.push(target);
  };
  for (const { name, mechanisms } of sets) job(name).mechanisms = mechanisms;
  for (const { scrapePool, discoveredLabels, labels } of active) {
    job(scrapePool).active++;
    add(scrapePool, { discovered: discoveredLabels ?? {}, labels });
  }
  for (const { scrapePool, discoveredLabels } of dropped) {
    add(scrapePool ?? discoveredLabels.job ?? '', { discovered: discoveredLabels });
  }
  for (const [name, count] of Object.entries(droppedCounts)) job(name).dropped = count;
  return [...jobs.values()].sort((a, b) => a.name.localeCompare(b.name));
}
