// Where a chart draws, for what lies over it.

export interface PlotArea {
  /** Pixels, within the chart. */
  left: number;
  top: number;
  width: number;
  height: number;
  /** The values at the lower and the upper edge. */
  low: number;
  high: number;
}
