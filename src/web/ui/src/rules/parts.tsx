// Small parts that the pages of alerts and of rules share.
import { Anchor, UnstyledButton } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { RuleHealth, RuleState } from '../api/types';
import { humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import type { Labels } from '../lib/series';
import { useStore } from '../lib/store';
import { formatTime, zoneStore, zoneSuffix } from '../lib/time';
import { linkParts } from './links';

export function StateBadge({ state }: { state: RuleState }) {
  return (
    <span className="ek-state" data-state={state}>
      {state}
    </span>
  );
}

const HEALTH_NAMES: Readonly<Record<RuleHealth, string>> = {
  ok: 'ok',
  err: 'failed',
  unknown: 'not evaluated',
};

export function RuleHealthBadge({ health }: { health: RuleHealth }) {
  return (
    <span className="ek-state" data-health={health} data-testid="rule-health">
      {HEALTH_NAMES[health]}
    </span>
  );
}

/** The time in milliseconds; null for one that was never set, which lies in the year 1. */
function timeOf(text: string | undefined): number | null {
  const time = Date.parse(text ?? '');
  return Number.isFinite(time) && time > 0 ? time : null;
}

/** How long ago something was, with the time itself when pointed at or when `isFull`. */
export function Since({ time, nowMs, isFull = false }: { time?: string; nowMs: number; isFull?: boolean }) {
  const zone = useStore(zoneStore);
  const at = timeOf(time);
  if (at === null) return 'never';
  const whole = Math.floor(at / 1000) * 1000;
  const ago = `${humanizeDuration(Math.max(0, nowMs - at))} ago`;
  const absolute = `${formatTime(whole, zone)} ${zoneSuffix(whole, zone)}`;
  if (!isFull)
    return (
      <span className="ek-nowrap" title={absolute}>
        {ago}
      </span>
    );
  return (
    <>
      <div className="ek-nowrap">{ago}</div>
      <div className="ek-dimmed ek-small">{absolute}</div>
    </>
  );
}

/** A text with the web addresses in it as links. */
function LinkedText({ text }: { text: string }) {
  return linkParts(text).map((part, index) =>
    part.href ? (
      <Anchor
        // biome-ignore lint/suspicious/noArrayIndexKey: parts have no other identity than their place.
        key={index}
        href={part.href}
        target="_blank"
        rel="noopener noreferrer"
        inherit
      >
        {part.text}
      </Anchor>
    ) : (
      part.text
    ),
  );
}

export function AnnotationList({ annotations }: { annotations: Labels | undefined }) {
  const pairs = Object.entries(annotations ?? {});
  if (pairs.length === 0) return null;
  return (
    <dl className="ek-annotations" data-testid="annotations">
      {pairs.map(([name, text]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <LinkedText text={text} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** How many of a long list are shown: some at first, more when asked for; another filter begins anew. */
export function useWindow(first: number, more: number, resetKey: string) {
  const [limit, setLimit] = useState(first);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says when to begin anew.
  useEffect(() => setLimit(first), [first, resetKey]);
  return { limit, grow: () => setLimit((current) => current + more), more };
}

interface MoreProps {
  total: number;
  shown: ReturnType<typeof useWindow>;
  what: string;
}

export function More({ total, shown, what }: MoreProps) {
  const rest = total - shown.limit;
  if (rest <= 0) return null;
  return (
    <UnstyledButton className="ek-more" onClick={shown.grow} data-testid="show-more">
      Show {formatCount(Math.min(rest, shown.more))} more of {formatCount(total)} {what}
    </UnstyledButton>
  );
}

/** What to write to have rules, for a page that has none. */
export function HowToAddRules({ what, example }: { what: string; example: string }) {
  return (
    <div className="ek-no-rules" data-testid="no-rules">
      <h2>{what}</h2>
      <p>
        Rules are in files of their own. Name them in the configuration and load it again (SIGHUP, or POST to{' '}
        <code>/-/reload</code> with <code>--web.enable-lifecycle</code>):
      </p>
      <pre className="ek-example">{"# prometheus.yml\nrule_files:\n  - 'rules/*.yml'"}</pre>
      <pre className="ek-example">{example}</pre>
    </div>
  );
}
