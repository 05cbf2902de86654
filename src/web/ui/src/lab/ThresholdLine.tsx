// The threshold of a rule over its graph: a line that is dragged, or moved by
// the arrow keys.
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from 'react';
import type { PlotArea } from '../graph/plotArea';
import { humanizeNumber } from '../lib/number';

/** A value as short as one hundredth of the axis allows. */
export function roundedTo(value: number, span: number): number {
  if (!(span > 0)) return value;
  const unit = 10 ** Math.floor(Math.log10(span / 200));
  return Number((Math.round(value / unit) * unit).toPrecision(12));
}

interface Props {
  area: PlotArea;
  value: number;
  operator: string;
  onMove(value: number): void;
}

const STEPS: Readonly<Record<string, number>> = {
  ArrowUp: 1,
  ArrowRight: 1,
  ArrowDown: -1,
  ArrowLeft: -1,
  PageUp: 10,
  PageDown: -10,
};

export function ThresholdLine({ area, value, operator, onMove }: Props) {
  const [moved, setMoved] = useState<number | null>(null);
  const dragging = useRef(false);
  // The page has taken over what was moved to.
  // biome-ignore lint/correctness/useExhaustiveDependencies: runs when the value changes.
  useEffect(() => {
    if (!dragging.current) setMoved(null);
  }, [value]);
  const shown = moved ?? value;
  const span = area.high - area.low;
  const share = (shown - area.low) / span;
  const place = area.top + area.height * (1 - Math.min(Math.max(share, 0), 1));

  const moveTo = (next: number) => {
    const rounded = roundedTo(next, span);
    setMoved(rounded);
    onMove(rounded);
  };
  const drag = (event: PointerEvent<HTMLDivElement>) => {
    if (!dragging.current) return;
    const parent = event.currentTarget.parentElement!.getBoundingClientRect();
    const share = 1 - (event.clientY - parent.top - area.top) / area.height;
    moveTo(area.low + Math.min(Math.max(share, 0), 1) * span);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const steps = STEPS[event.key];
    if (steps === undefined) return;
    event.preventDefault();
    moveTo(shown + (steps * span) / 100);
  };
  return (
    <div
      className="ek-threshold"
      data-outside={share < 0 || share > 1 ? '' : undefined}
      style={{ top: place, left: area.left, width: area.width }}
      role="slider"
      tabIndex={0}
      aria-label="Threshold"
      aria-orientation="vertical"
      aria-valuemin={area.low}
      aria-valuemax={area.high}
      aria-valuenow={shown}
      aria-valuetext={`${operator} ${shown}`}
      data-testid="threshold"
      onKeyDown={onKeyDown}
      onPointerDown={(event) => {
        dragging.current = true;
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={drag}
      onPointerUp={(event) => {
        drag(event);
        dragging.current = false;
      }}
      onPointerCancel={() => {
        dragging.current = false;
      }}
    >
      <span className="ek-threshold-value">
        {operator} {humanizeNumber(shown, 4)}
      </span>
    </div>
  );
}
