// The alerts of one name over time. Dragging over a strip selects a range.
import { Anchor, Paper } from '@mantine/core';
import { type PointerEvent, type ReactNode, useRef, useState } from 'react';
import { Link } from 'react-router';
import type { Rule, RuleGroup } from '../api/types';
import { labOf } from '../lab/labState';
import { Strip } from '../lab/Strip';
import type { TimelineGroup } from '../lab/types';
import { humanizeDuration } from '../lib/duration';
import { formatCount } from '../lib/number';
import { useStore } from '../lib/store';
import { formatTime, zoneStore } from '../lib/time';
import { newPanel } from '../query/panel';
import { encodePanels } from '../query/urlState';
import { More, useWindow } from '../rules/parts';
import { LabelList } from '../targets/LabelList';

const ALERTS_AT_FIRST = 10;
const MORE_ALERTS = 100;
/** Shorter moves of the pointer, in pixels, are no selection. */
const SHORTEST = 5;

interface Props {
  group: TimelineGroup;
  /** Seconds. */
  start: number;
  end: number;
  /** The rule of that name, if it is loaded. */
  loaded: { rule: Rule; of: RuleGroup } | undefined;
  onZoom(start: number, end: number): void;
}

function Zoomable({
  start,
  end,
  onZoom,
  children,
}: Omit<Props, 'group' | 'loaded'> & { children: ReactNode }) {
  const [selection, setSelection] = useState<[from: number, to: number] | null>(null);
  const area = useRef<HTMLDivElement>(null);
  const shareOf = (event: PointerEvent) => {
    const { left, width } = area.current!.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - left) / width, 0), 1);
  };
  return (
    <div
      ref={area}
      className="ek-timeline-zoom"
      onPointerDown={(event) => {
        if (event.pointerType !== 'mouse' || event.button !== 0) return;
        const share = shareOf(event);
        setSelection([share, share]);
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => selection && setSelection([selection[0], shareOf(event)])}
      onPointerUp={() => {
        if (!selection) return;
        setSelection(null);
        const [low, high] = [Math.min(...selection), Math.max(...selection)];
        if ((high - low) * area.current!.clientWidth < SHORTEST) return;
        onZoom(start + low * (end - start), start + high * (end - start));
      }}
      onPointerCancel={() => setSelection(null)}
    >
      {children}
      {selection && (
        <div
          className="ek-timeline-selection"
          style={{
            left: `${Math.min(...selection) * 100}%`,
            width: `${Math.abs(selection[1] - selection[0]) * 100}%`,
          }}
        />
      )}
    </div>
  );
}

function Links({ rule, of, start, end }: { rule: Rule; of: RuleGroup; start: number; end: number }) {
  const range = { endMs: Math.round(end) * 1000, rangeMs: Math.max(1, Math.round(end - start)) * 1000 };
  const graph = encodePanels([{ ...newPanel(), ...range, expr: rule.query, tab: 'graph' }]);
  return (
    <div className="ek-timeline-links">
      <Anchor
        component={Link}
        inherit
        to={{ pathname: '/query', search: graph }}
        data-testid="timeline-graph"
      >
        Graph<span className="ek-visually-hidden"> of {rule.name}</span>
      </Anchor>
      <Anchor component={Link} inherit to={labOf(rule, of, range)} data-testid="timeline-lab">
        Try in the lab<span className="ek-visually-hidden"> {rule.name}</span>
      </Anchor>
    </div>
  );
}

export function TimelineGroupView({ group, start, end, loaded, onZoom }: Props) {
  const zone = useStore(zoneStore);
  const shown = useWindow(ALERTS_AT_FIRST, MORE_ALERTS, group.alertname);
  return (
    <Paper
      withBorder
      className="ek-pool"
      component="section"
      aria-label={group.alertname}
      data-testid="timeline-group"
    >
      <h2 className="ek-pool-heading ek-timeline-heading">
        <span className="ek-pool-name">{group.alertname}</span>{' '}
        <span className="ek-dimmed ek-small">
          {formatCount(group.firings)} {group.firings === 1 ? 'firing' : 'firings'},{' '}
          {humanizeDuration(group.firingSeconds * 1000)} in all
        </span>
      </h2>
      {loaded && <Links {...loaded} start={start} end={end} />}
      <div className="ek-timeline-alerts">
        {group.alerts.slice(0, shown.limit).map(({ labels, spans }) => {
          const { alertname: _, ...others } = labels;
          return (
            <div key={JSON.stringify(labels)} data-testid="timeline-alert-row">
              <LabelList labels={others} />
              <Zoomable start={start} end={end} onZoom={onZoom}>
                <Strip
                  spans={spans}
                  start={start}
                  end={end}
                  label={[group.alertname, ...Object.values(others)].join(', ')}
                />
              </Zoomable>
            </div>
          );
        })}
        <div className="ek-strip-axis">
          <span>{formatTime(Math.round(start) * 1000, zone)}</span>
          <span>{formatTime(Math.round(end) * 1000, zone)}</span>
        </div>
      </div>
      <More total={group.alerts.length} shown={shown} what="alerts" />
    </Paper>
  );
}
