// Panels in the address bar, with the parameter names of Prometheus 3.x
// (`g0.expr`, `g1.tab`, ...), so that links from alerts and old bookmarks work.
// Reading also knows the older names; writing uses the current ones. An
// expression that is too long for an address is kept elsewhere and named by
// `g0.expr_kept`.
import { formatDuration, parseDuration } from '../lib/duration';
import { formatTime, parseTime } from '../lib/time';
import { keepExpression, keptExpression } from './kept';
import { type Density, newPanel, type Panel, type Resolution, type Tab } from './panel';

const TABS: Readonly<Record<string, Tab>> = { '0': 'graph', graph: 'graph', '1': 'table', table: 'table' };

/** Servers and gateways refuse request lines that are much longer. */
const LONGEST_ADDRESS = 7500;

const isDensity = (text: string): text is Density => text === 'low' || text === 'medium' || text === 'high';

function positive(text: string | null): number | null {
  const value = Number.parseFloat(text ?? '');
  return Number.isFinite(value) && value > 0 ? value : null;
}

function decodeResolution(get: (name: string) => string | null, fallback: Resolution): Resolution {
  const type = get('res_type');
  if (type === 'auto') {
    const density = get('res_density') ?? '';
    return isDensity(density) ? { type, density } : fallback;
  }
  const step = positive(get('res_step'));
  if ((type === 'fixed' || type === 'custom') && step !== null) {
    return { type, stepMs: Math.round(step * 1000) };
  }
  const oldStep = positive(get('step_input'));
  if (type === null && oldStep !== null) {
    return { type: 'custom', stepMs: Math.round(oldStep * 1000) };
  }
  return fallback;
}

/** The panels of an address, none when it has no `g0.expr`. */
export function decodePanels(search: string): Panel[] {
  const params = new URLSearchParams(search);
  const panels: Panel[] = [];
  for (let index = 0; params.has(`g${index}.expr`); index++) {
    const get = (name: string) => params.get(`g${index}.${name}`);
    const panel = newPanel();
    const kept = get('expr_kept');
    const keptText = kept === null ? undefined : keptExpression(kept);
    panel.expr = keptText ?? get('expr') ?? '';
    if (kept !== null) panel.keeping = keptText === undefined ? 'lost' : 'tab';
    panel.tab = TABS[get('tab') ?? ''] ?? panel.tab;
    panel.showTree = get('show_tree') === '1';
    panel.showExemplars = get('show_exemplars') === '1';

    const mode = get('display_mode');
    const oldStacked = get('stacked');
    if (mode === 'lines' || mode === 'stacked') panel.displayMode = mode;
    else if (oldStacked !== null) panel.displayMode = oldStacked === '1' ? 'stacked' : 'lines';

    const rangeMs = parseDuration(get('range_input') ?? '');
    if (rangeMs !== null && rangeMs > 0) panel.rangeMs = rangeMs;
    // Both names hold the same time in current links; the table's wins.
    panel.endMs = parseTime(get('moment_input') ?? '', 'utc') ?? parseTime(get('end_input') ?? '', 'utc');
    panel.resolution = decodeResolution(get, panel.resolution);

    const yAxisMin = Number.parseFloat(get('y_axis_min') ?? '');
    panel.yAxisMin = Number.isFinite(yAxisMin) ? yAxisMin : null;
    panels.push(panel);
  }
  return panels;
}

/** The address part of the panels, without a leading question mark. */
export function encodePanels(panels: readonly Panel[]): string {
  const whole = encode(panels, Number.POSITIVE_INFINITY);
  if (whole.length <= LONGEST_ADDRESS) return whole;
  return encode(panels, LONGEST_ADDRESS / 2 / panels.length);
}

/** Expressions that take more room than `longest` in the address are kept in this tab. */
function encode(panels: readonly Panel[], longest: number): string {
  const params = new URLSearchParams();
  panels.forEach((panel, index) => {
    const put = (name: string, value: string) => params.set(`g${index}.${name}`, value);
    if (encodeURIComponent(panel.expr).length <= longest) {
      put('expr', panel.expr);
    } else {
      put('expr', '');
      put('expr_kept', keepExpression(panel.expr));
    }
    put('show_tree', panel.showTree ? '1' : '0');
    put('tab', panel.tab);
    if (panel.endMs !== null) {
      const text = formatTime(panel.endMs, 'utc');
      put('end_input', text);
      put('moment_input', text);
    }
    put('range_input', formatDuration(panel.rangeMs));
    put('res_type', panel.resolution.type);
    if (panel.resolution.type === 'auto') put('res_density', panel.resolution.density);
    else put('res_step', String(panel.resolution.stepMs / 1000));
    put('display_mode', panel.displayMode);
    if (panel.yAxisMin !== null) put('y_axis_min', String(panel.yAxisMin));
    put('show_exemplars', panel.showExemplars ? '1' : '0');
  });
  return params.toString();
}
