// One query panel: the editor row with its menu, and the table or graph below.
import { ActionIcon, Button, Loader, Paper, Tabs, Tooltip } from '@mantine/core';
import { IconChartLine, IconPlayerPlayFilled, IconTable, IconWorldSearch } from '@tabler/icons-react';
import { useIsFetching } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { apiPost } from '../api/client';
import type { ExprEditorHandle } from '../editor/ExprEditor';
import { ErrorBoundary } from '../shell/ErrorBoundary';
import { ExprEditor, GraphTab } from '../shell/pages';
import { HistoryMenu } from './HistoryMenu';
import { remember } from './history';
import { Problem } from './Messages';
import { MetricsExplorer } from './MetricsExplorer';
import { PanelMenu } from './PanelMenu';
import type { Panel, Tab } from './panel';
import { TableTab } from './TableTab';
import type { PanelActions } from './usePanels';

interface Props {
  panel: Panel;
  index: number;
  actions: PanelActions;
}

const KEEPING = {
  tab: 'The expression is too long for the address of the page, so a link to it works in this tab only.',
  lost: 'The expression of this link was too long for an address. It is kept in the tab where it was run, and not here.',
} as const;

export function PanelView({ panel, index, actions }: Props) {
  const [draft, showDraft] = useState(() => actions.draftOf(panel.id) ?? panel.expr);
  const editor = useRef<ExprEditorHandle>(null);
  const [isExploring, setExploring] = useState(false);
  const [formatError, setFormatError] = useState<string | null>(null);
  const isBusy = useIsFetching({ queryKey: ['panel', panel.id] }) > 0;
  const change = (patch: Partial<Panel>) => actions.change(panel.id, patch);

  const setDraft = (text: string) => {
    showDraft(text);
    actions.keepDraft(panel.id, text === panel.expr ? null : text);
  };
  const { keepDraft } = actions;
  const { id, expr } = panel;
  const lastExpr = useRef(expr);
  useEffect(() => {
    if (lastExpr.current === expr) return;
    lastExpr.current = expr;
    showDraft(expr);
    keepDraft(id, null);
  }, [id, expr, keepDraft]);

  const run = (expr: string) => {
    const text = expr.trim();
    remember(text);
    setFormatError(null);
    setDraft(text);
    change({ expr: text, run: panel.run + 1 });
  };

  const format = async () => {
    try {
      const reply = await apiPost<string>('format_query', { query: draft });
      setDraft(reply.data);
      setFormatError(null);
    } catch (cause) {
      setFormatError(cause instanceof Error ? cause.message : String(cause));
    }
  };

  return (
    <Paper withBorder radius="md" className="ek-panel" component="section" aria-label={`Query ${index + 1}`}>
      <div className="ek-expr-row">
        <div className="ek-expr" data-testid="expr-editor">
          <div className="ek-expr-text">
            <ExprEditor
              fallback={<div className="ek-expr-fallback">{draft}</div>}
              value={draft}
              onChange={setDraft}
              onRun={run}
              autoFocus={index === 0 && draft === ''}
              handle={editor}
            />
          </div>
          <div className="ek-expr-tools">
            <HistoryMenu onPick={run} />
            <Tooltip label="Explore metrics">
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label="Explore metrics"
                onClick={() => setExploring(true)}
              >
                <IconWorldSearch size={18} />
              </ActionIcon>
            </Tooltip>
            <PanelMenu
              canFormat={draft.trim() !== ''}
              onExplore={() => setExploring(true)}
              onFormat={format}
              onDuplicate={() => actions.duplicate(panel.id, draft)}
              onRemove={() => actions.remove(panel.id)}
            />
          </div>
        </div>
        <Button
          className="ek-run"
          data-testid="run-query"
          aria-label="Run query"
          onClick={() => run(draft)}
          leftSection={
            isBusy ? <Loader size={14} color="white" /> : <IconPlayerPlayFilled size={14} aria-hidden />
          }
        >
          Run
        </Button>
      </div>

      {formatError !== null && <Problem title="The expression could not be formatted" text={formatError} />}

      {panel.keeping && (
        <div className="ek-kept" data-testid={`kept-${panel.keeping}`}>
          {KEEPING[panel.keeping]}
        </div>
      )}

      <Tabs
        value={panel.tab}
        onChange={(tab) => tab && change({ tab: tab as Tab })}
        keepMounted={false}
        variant="default"
        mt="sm"
      >
        <Tabs.List>
          <Tabs.Tab value="table" data-testid="tab-table" leftSection={<IconTable size={16} />}>
            Table
          </Tabs.Tab>
          <Tabs.Tab value="graph" data-testid="tab-graph" leftSection={<IconChartLine size={16} />}>
            Graph
          </Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="table" pt="sm">
          <ErrorBoundary resetKey={`${panel.expr}/${panel.run}`}>
            <TableTab panel={panel} change={change} />
          </ErrorBoundary>
        </Tabs.Panel>
        <Tabs.Panel value="graph" pt="sm">
          <ErrorBoundary resetKey={`${panel.expr}/${panel.run}`}>
            <GraphTab fallback={<div className="ek-graph-placeholder" />} panel={panel} change={change} />
          </ErrorBoundary>
        </Tabs.Panel>
      </Tabs>

      <MetricsExplorer
        opened={isExploring}
        onClose={() => setExploring(false)}
        onInsert={(text) => {
          setExploring(false);
          if (editor.current) editor.current.insert(text);
          else setDraft(`${draft}${text}`);
        }}
      />
    </Paper>
  );
}
