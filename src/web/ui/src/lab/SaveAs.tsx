// The rule as a rule file, and a unit test of it made from what is stored.
import { Button, CopyButton, Group } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useEffect } from 'react';
import { apiPost } from '../api/client';
import { copyText } from '../lib/clipboard';
import { Annotations, QueryProblem } from '../query/Messages';
import type { LabState } from './labState';
import { ruleFile } from './ruleFile';
import type { Backtest } from './types';
import { paramsOf } from './useBacktest';

function Text({ title, name, text }: { title: string; name: string; text: string }) {
  return (
    <section aria-label={title}>
      <Group justify="space-between" mb={4}>
        <h3 className="ek-lab-file">{title}</h3>
        <CopyButton value="">
          {({ copied, copy }) => (
            <Button
              size="compact-sm"
              variant="default"
              aria-label={`Copy ${title}`}
              onClick={() => {
                void copyText(text);
                copy();
              }}
            >
              {copied ? 'Copied' : 'Copy'}
            </Button>
          )}
        </CopyButton>
      </Group>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
      <pre className="ek-example" data-testid={name} tabIndex={0}>
        {text}
      </pre>
    </section>
  );
}

export function SaveAs({ lab, data }: { lab: LabState; data: Backtest }) {
  const test = useMutation({
    mutationFn: () => apiPost<{ test: string }>('rules/unit_test', paramsOf(lab, data.end * 1000)),
  });
  const { reset } = test;
  // A test belongs to the rule it was made for.
  // biome-ignore lint/correctness/useExhaustiveDependencies: runs when another rule is played.
  useEffect(reset, [data, reset]);
  return (
    <details className="ek-lab-details" data-testid="save-as">
      <summary>Save as a rule, with a unit test</summary>
      <div className="ek-lab-files">
        <Text title="lab.rules.yml" name="rule-yaml" text={ruleFile(lab)} />
        {test.data ? (
          <div>
            <Text title="lab.test.yml" name="test-yaml" text={test.data.data.test} />
            <Annotations warnings={test.data.warnings} infos={test.data.infos} />
          </div>
        ) : (
          <div>
            <Button
              variant="default"
              loading={test.isPending}
              onClick={() => test.mutate()}
              data-testid="make-test"
            >
              Make a unit test from stored samples
            </Button>
            <p className="ek-dimmed ek-small">
              It holds the samples around one firing. Run it with{' '}
              <code>emberkeep test rules lab.test.yml</code> or <code>promtool test rules lab.test.yml</code>{' '}
              (promtool 3).
            </p>
          </div>
        )}
        {test.error && <QueryProblem error={test.error} />}
      </div>
    </details>
  );
}
