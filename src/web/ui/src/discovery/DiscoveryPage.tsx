// The page of discovery: what each job's mechanisms find, how they fare, and what relabelling makes of it.
import { Group, NativeSelect, Stack, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useMemo } from 'react';
import { useSearchParams } from 'react-router';
import { Hint, QueryProblem } from '../query/Messages';
import { PageTitle } from '../shell/PageTitle';
import { JobView } from './JobView';
import { jobsOf } from './jobs';
import { useAllTargets, useMechanisms } from './useDiscovery';

const OPEN_AT_FIRST = 5;

export default function DiscoveryPage() {
  const [params, setParams] = useSearchParams();
  const [pool, search] = [params.get('pool') ?? '', params.get('search') ?? ''];
  const { data: targets, error, dataUpdatedAt } = useAllTargets();
  const { data: mechanisms } = useMechanisms();
  const jobs = useMemo(
    () =>
      jobsOf(
        targets?.activeTargets ?? [],
        targets?.droppedTargets ?? [],
        targets?.droppedTargetCounts ?? {},
        mechanisms?.jobs ?? [],
        search,
      ),
    [targets, mechanisms, search],
  );
  const shown = jobs.filter(
    ({ name, targets }) => (pool === '' || name === pool) && (search === '' || targets.length > 0),
  );
  const set = (name: string, value: string) =>
    setParams(
      (current) => {
        const next = new URLSearchParams(current);
        if (value === '') next.delete(name);
        else next.set(name, value);
        return next;
      },
      { replace: true },
    );
  return (
    <Stack gap="md">
      <PageTitle title="Service discovery" />
      <Group gap="sm" className="ek-filters">
        <NativeSelect
          aria-label="Job"
          value={pool}
          onChange={(event) => set('pool', event.currentTarget.value)}
          data={[{ value: '', label: 'All jobs' }, ...jobs.map(({ name }) => ({ value: name, label: name }))]}
        />
        <TextInput
          aria-label="Search labels"
          placeholder="Search in discovered and target labels"
          leftSection={<IconSearch size={16} />}
          className="ek-grow"
          value={search}
          onChange={(event) => set('search', event.currentTarget.value)}
        />
      </Group>
      {error && <QueryProblem error={error} />}
      {shown.map((job) => (
        <JobView
          key={job.name}
          job={job}
          nowMs={dataUpdatedAt}
          isOpenAtFirst={shown.length <= OPEN_AT_FIRST}
        />
      ))}
      {targets && shown.length === 0 && (
        <Hint>{jobs.length === 0 ? 'There are no jobs.' : 'Nothing matches these filters.'}</Hint>
      )}
    </Stack>
  );
}
