// A strip for each alert, those that fired longest first.
import type { CSSProperties } from 'react';
import type { PlotArea } from '../graph/plotArea';
import { SeriesName } from '../lib/SeriesName';
import { More, useWindow } from '../rules/parts';
import { Strip, StripKey } from './Strip';
import type { Backtest } from './types';

const STRIPS_AT_FIRST = 20;
const MORE_STRIPS = 100;

interface Props {
  data: Backtest;
  /** Where the graph above draws; strips have the same time axis. */
  area: PlotArea | null;
}

export function AlertStrips({ data, area }: Props) {
  const shown = useWindow(STRIPS_AT_FIRST, MORE_STRIPS, data.rule.query);
  if (data.alerts.length === 0)
    return (
      <p className="ek-lab-note" data-testid="no-alerts">
        No alert would have been pending or firing.
      </p>
    );
  return (
    <section
      aria-label="Alerts over time"
      className="ek-strips"
      style={
        area
          ? ({ '--ek-plot-left': `${area.left}px`, '--ek-plot-width': `${area.width}px` } as CSSProperties)
          : undefined
      }
    >
      <StripKey />
      {data.alerts.slice(0, shown.limit).map(({ labels, spans }) => {
        const { alertname: _, ...others } = labels;
        const name = Object.keys(others).length === 0 ? labels : others;
        return (
          <div key={JSON.stringify(labels)} className="ek-strip-row" data-testid="lab-alert-strip">
            <div className="ek-strip-name">
              <SeriesName labels={name} />
            </div>
            <Strip spans={spans} start={data.start} end={data.end} label={Object.values(name).join(', ')} />
          </div>
        );
      })}
      <More total={data.alerts.length} shown={shown} what="alerts" />
    </section>
  );
}
