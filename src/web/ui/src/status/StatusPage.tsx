// Runtime and build information. Known fields come first under plain names;
// anything else the server tells is shown under its own name.
import { Paper, SimpleGrid, Stack, Table } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { apiGet } from '../api/client';
import type { StatusMap } from '../api/types';
import { humanizeDuration } from '../lib/duration';
import { useStore } from '../lib/store';
import { formatTime, type Zone, zoneStore, zoneSuffix } from '../lib/time';
import { QueryProblem } from '../query/Messages';
import { PageTitle } from '../shell/PageTitle';

const RUNTIME: Readonly<Record<string, string>> = {
  startTime: 'Started',
  serverTime: 'Server time',
  hostname: 'Host name',
  CWD: 'Working directory',
  reloadConfigSuccess: 'Configuration reload',
  lastConfigTime: 'Last successful reload',
  storageRetention: 'Storage retention',
  corruptionCount: 'Log corruptions',
  newSeriesRefused: 'New series refused',
  restarts: 'Work begun again after a panic',
};

const BUILD: Readonly<Record<string, string>> = {
  version: 'Version',
  revision: 'Revision',
  branch: 'Branch',
  buildDate: 'Build date',
  buildUser: 'Build user',
  goVersion: 'Toolchain',
};

function show(key: string, value: StatusMap[string], zone: Zone): string {
  if (value === null || value === '') return '';
  if (key === 'reloadConfigSuccess') return value ? 'Successful' : 'Failed';
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) {
    const at = Date.parse(value);
    if (Number.isNaN(at) || at <= 0) return value;
    const whole = Math.floor(at / 1000) * 1000;
    const text = `${formatTime(whole, zone)} ${zoneSuffix(at, zone)}`;
    return key === 'startTime' ? `${text} (${humanizeDuration(Date.now() - at)} ago)` : text;
  }
  if (typeof value === 'object') {
    const counts = Object.entries(value).filter(([, count]) => count > 0);
    return counts.map(([name, count]) => `${name} ${count}`).join(', ') || 'Never';
  }
  return String(value);
}

function Facts({
  title,
  names,
  data,
}: {
  title: string;
  names: Readonly<Record<string, string>>;
  data: StatusMap;
}) {
  const zone = useStore(zoneStore);
  const known = Object.keys(names).filter((key) => key in data);
  const others = Object.keys(data).filter((key) => !(key in names));
  const rows = [...known, ...others]
    .map((key) => ({ key, label: names[key] ?? key, text: show(key, data[key] ?? null, zone) }))
    .filter(({ text }) => text !== '');
  return (
    <Paper withBorder className="ek-card" component="section" aria-label={title}>
      <h2 className="ek-card-title">{title}</h2>
      <Table className="ek-facts">
        <Table.Tbody>
          {rows.map(({ key, label, text }) => (
            <Table.Tr key={key}>
              <Table.Th scope="row">{label}</Table.Th>
              <Table.Td>{text}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Paper>
  );
}

function useStatus(path: string) {
  return useQuery({
    queryKey: ['status', path],
    queryFn: async ({ signal }) => (await apiGet<StatusMap>(path, {}, signal)).data,
    staleTime: 10_000,
  });
}

export default function StatusPage() {
  const runtime = useStatus('status/runtimeinfo');
  const build = useStatus('status/buildinfo');
  return (
    <Stack gap="md">
      <PageTitle title="Runtime and build" />
      {runtime.error && <QueryProblem error={runtime.error} />}
      {build.error && <QueryProblem error={build.error} />}
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        {runtime.data && <Facts title="Runtime" names={RUNTIME} data={runtime.data} />}
        {build.data && <Facts title="Build" names={BUILD} data={build.data} />}
      </SimpleGrid>
    </Stack>
  );
}
