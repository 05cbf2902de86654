// The lab: what an alerting rule would have done over stored history.
import { Stack, Tabs } from '@mantine/core';
import { useMemo } from 'react';
import { useSearchParams } from 'react-router';
import { PageTitle } from '../shell/PageTitle';
import { FileTab } from './FileTab';
import { decodeLab, encodeLab, type LabState, type LabTab } from './labState';
import { RuleTab } from './RuleTab';
import './lab.css';

export default function LabPage() {
  const [params, setParams] = useSearchParams();
  const lab = useMemo(() => decodeLab(params), [params]);
  const change = (patch: Partial<LabState>) => setParams(encodeLab({ ...lab, ...patch }), { replace: true });
  return (
    <Stack gap="md">
      <PageTitle title="Rule lab">
        <span className="ek-page-note">What a rule would have done over stored history</span>
      </PageTitle>
      <Tabs
        value={lab.tab}
        onChange={(tab) => tab && change({ tab: tab as LabTab })}
        keepMounted={false}
        aria-label="Rule lab"
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="rule" data-testid="lab-tab-rule">
            One rule
          </Tabs.Tab>
          <Tabs.Tab value="file" data-testid="lab-tab-file">
            Compare a rule file
          </Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="rule">
          <RuleTab lab={lab} change={change} />
        </Tabs.Panel>
        <Tabs.Panel value="file">
          <FileTab lab={lab} change={change} />
        </Tabs.Panel>
      </Tabs>
    </Stack>
  );
}
