// One rule: what it is, and what it would have done.
import { Button, Group, Loader, Paper, TextInput } from '@mantine/core';
import { IconPlayerPlayFilled } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { remember } from '../query/history';
import { Annotations, Hint, QueryProblem } from '../query/Messages';
import { RangeInput } from '../query/RangeInput';
import { TimeInput } from '../query/TimeInput';
import { ErrorBoundary } from '../shell/ErrorBoundary';
import { ExprEditor } from '../shell/pages';
import { DurationInput } from './DurationInput';
import { LabelsInput } from './LabelsInput';
import { type LabState, limitOf } from './labState';
import { Played } from './Played';
import { useBacktest } from './useBacktest';

export interface TabProps {
  lab: LabState;
  change(patch: Partial<LabState>): void;
}

export function RuleTab({ lab, change }: TabProps) {
  const [draft, setDraft] = useState(lab.expr);
  useEffect(() => setDraft(lab.expr), [lab.expr]);
  const [name, setName] = useState(lab.alert);
  useEffect(() => setName(lab.alert), [lab.alert]);
  const [run, setRun] = useState(0);
  const { data, error, isFetching } = useBacktest(lab, run);
  const reply = lab.expr === '' || error ? undefined : data;

  const play = (text: string) => {
    const expr = text.trim();
    remember(expr);
    setDraft(expr);
    change({ expr });
    setRun(run + 1);
  };
  return (
    <Paper withBorder radius="md" className="ek-panel" component="section" aria-label="Rule">
      <div className="ek-expr-row">
        <div className="ek-expr" data-testid="expr-editor">
          <div className="ek-expr-text">
            <ExprEditor
              fallback={<div className="ek-expr-fallback">{draft}</div>}
              value={draft}
              onChange={setDraft}
              onRun={play}
              autoFocus={draft === ''}
            />
          </div>
        </div>
        <Button
          className="ek-run"
          data-testid="run-lab"
          onClick={() => play(draft)}
          leftSection={
            isFetching ? <Loader size={14} color="white" /> : <IconPlayerPlayFilled size={14} aria-hidden />
          }
        >
          Play
        </Button>
      </div>
      <Group gap="sm" mt="sm" align="flex-end" className="ek-lab-fields">
        <TextInput
          label="alert"
          w={200}
          placeholder="Name"
          value={name}
          data-testid="lab-alert"
          onChange={(event) => setName(event.currentTarget.value)}
          onBlur={() => name !== lab.alert && change({ alert: name.trim() })}
          onKeyDown={(event) => event.key === 'Enter' && change({ alert: name.trim() })}
        />
        <DurationInput
          label="for"
          name="lab-for"
          valueMs={lab.forMs}
          empty={0}
          placeholder="0s"
          onChange={(forMs) => change({ forMs: forMs ?? 0 })}
        />
        <DurationInput
          label="keep_firing_for"
          name="lab-keep"
          valueMs={lab.keepMs}
          empty={0}
          placeholder="0s"
          onChange={(keepMs) => change({ keepMs: keepMs ?? 0 })}
        />
        <DurationInput
          label="interval"
          name="lab-interval"
          valueMs={lab.intervalMs}
          empty={null}
          placeholder="configured"
          onChange={(intervalMs) => change({ intervalMs })}
        />
        <DurationInput
          label="query_offset"
          name="lab-offset"
          valueMs={lab.offsetMs}
          empty={null}
          placeholder="configured"
          onChange={(offsetMs) => change({ offsetMs })}
        />
        <TextInput
          key={lab.limit}
          label="limit"
          w={90}
          inputMode="numeric"
          placeholder="none"
          defaultValue={lab.limit === 0 ? '' : lab.limit}
          data-testid="lab-limit"
          onBlur={(event) => change({ limit: limitOf(event.currentTarget.value.trim()) })}
          onKeyDown={(event) =>
            event.key === 'Enter' && change({ limit: limitOf(event.currentTarget.value.trim()) })
          }
        />
        <LabelsInput labels={lab.labels} onChange={(labels) => change({ labels })} />
      </Group>
      <Group gap="sm" mt="sm" className="ek-graph-controls">
        <RangeInput rangeMs={lab.rangeMs} onChange={(rangeMs) => change({ rangeMs })} />
        <TimeInput
          label="End time"
          valueMs={lab.endMs}
          shiftMs={lab.rangeMs}
          onChange={(endMs) => change({ endMs })}
        />
      </Group>
      {error && !isFetching && <QueryProblem error={error} />}
      {reply && <Annotations warnings={reply.warnings} infos={reply.infos} />}
      {reply && (
        <ErrorBoundary resetKey={`${lab.expr}/${run}`}>
          <div className={isFetching ? 'ek-stale' : undefined}>
            <Played reply={reply} lab={lab} change={change} />
          </div>
        </ErrorBoundary>
      )}
      {!reply && !error && <Hint>{lab.expr === '' ? 'Enter an expression and play it.' : 'Playing...'}</Hint>}
    </Paper>
  );
}
