// One query panel: everything that its part of the address describes.

export type Tab = 'table' | 'graph';
export type DisplayMode = 'lines' | 'stacked';
export type Density = 'low' | 'medium' | 'high';

export type Resolution =
  | { type: 'auto'; density: Density }
  | { type: 'fixed'; stepMs: number }
  | { type: 'custom'; stepMs: number };

export interface Panel {
  /** Stable for the life of the panel on this page; not in the address. */
  id: string;
  /** Counts executions, so that running the same expression asks again. */
  run: number;
  expr: string;
  /** Where an expression that is too long for the address is: in this tab, or in another one. */
  keeping?: 'tab' | 'lost';
  tab: Tab;
  /** End of the graph and evaluation time of the table; null means now. */
  endMs: number | null;
  rangeMs: number;
  resolution: Resolution;
  displayMode: DisplayMode;
  yAxisMin: number | null;
  /** Kept for links from other servers' pages; nothing here shows them yet. */
  showTree: boolean;
  showExemplars: boolean;
}

let created = 0;

export function newPanel(): Panel {
  created += 1;
  return {
    id: `panel-${created}`,
    run: 0,
    expr: '',
    tab: 'table',
    endMs: null,
    rangeMs: 3_600_000,
    resolution: { type: 'auto', density: 'medium' },
    displayMode: 'lines',
    yAxisMin: null,
    showTree: false,
    showExemplars: false,
  };
}
