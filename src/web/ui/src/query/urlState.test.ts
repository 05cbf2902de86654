// The address format: what is written can be read back, and old links work.
import { describe, expect, it } from 'vitest';
import { newPanel, type Panel } from './panel';
import { decodePanels, encodePanels } from './urlState';

function roundTrip(panel: Panel): Panel {
  const [read] = decodePanels(`?${encodePanels([panel])}`);
  return { ...read!, id: panel.id };
}

describe('panels in the address', () => {
  it('come back as they were written', () => {
    const cases: Array<Partial<Panel>> = [
      {},
      { expr: 'sum by (job) (rate(a_total{x=~"a|b&c"}[5m])) > 1 + 2\n# note' },
      { tab: 'graph', rangeMs: 90 * 60_000, endMs: Date.UTC(2026, 1, 3, 4, 5, 6) },
      { resolution: { type: 'auto', density: 'high' }, displayMode: 'stacked', yAxisMin: 0 },
      { resolution: { type: 'fixed', stepMs: 30_000 }, showTree: true },
      { resolution: { type: 'custom', stepMs: 1500 }, yAxisMin: -2.5, showExemplars: true },
    ];
    for (const patch of cases) {
      const panel = { ...newPanel(), ...patch };
      expect(roundTrip(panel)).toEqual(panel);
    }
  });

  it('use the parameter names of Prometheus', () => {
    const panel: Panel = { ...newPanel(), expr: 'up', tab: 'graph', endMs: Date.UTC(2026, 0, 2, 3, 4, 5) };
    expect(Object.fromEntries(new URLSearchParams(encodePanels([panel])))).toEqual({
      'g0.expr': 'up',
      'g0.show_tree': '0',
      'g0.tab': 'graph',
      'g0.end_input': '2026-01-02 03:04:05',
      'g0.moment_input': '2026-01-02 03:04:05',
      'g0.range_input': '1h',
      'g0.res_type': 'auto',
      'g0.res_density': 'medium',
      'g0.display_mode': 'lines',
      'g0.show_exemplars': '0',
    });
  });

  it('are read in order until one has no expression', () => {
    const panels = decodePanels('?g0.expr=a&g1.expr=b&g1.tab=table&g3.expr=d');
    expect(panels.map((panel) => panel.expr)).toEqual(['a', 'b']);
    expect(decodePanels('?g0.tab=graph')).toEqual([]);
  });

  it('are read from links of older servers', () => {
    const [panel] = decodePanels(
      '?g0.expr=up&g0.tab=0&g0.stacked=1&g0.range_input=2h30m&g0.step_input=15&g0.end_input=2024-05-06%2007%3A08',
    );
    expect(panel).toMatchObject({
      tab: 'graph',
      displayMode: 'stacked',
      rangeMs: 2.5 * 3_600_000,
      resolution: { type: 'custom', stepMs: 15_000 },
      endMs: Date.UTC(2024, 4, 6, 7, 8),
    });
    expect(decodePanels('?g0.expr=up&g0.tab=1')[0]!.tab).toBe('table');
  });

  it('fall back to defaults where a value makes no sense', () => {
    const [panel] = decodePanels(
      '?g0.expr=up&g0.tab=explain&g0.range_input=soon&g0.end_input=x&g0.res_type=fixed&g0.res_step=-1&g0.display_mode=heatmap&g0.y_axis_min=',
    );
    expect({ ...panel, id: '' }).toEqual({ ...newPanel(), id: '', expr: 'up' });
  });
});
