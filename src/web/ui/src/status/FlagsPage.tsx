// The command-line flags the server runs with, searchable.
import { Paper, Stack, Table, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useSearchParams } from 'react-router';
import { apiGet } from '../api/client';
import { hasWords, wordsOf } from '../lib/search';
import { Hint, QueryProblem } from '../query/Messages';
import { PageTitle } from '../shell/PageTitle';

export default function FlagsPage() {
  const [params, setParams] = useSearchParams();
  const search = params.get('search') ?? '';
  const { data, error } = useQuery({
    queryKey: ['status', 'flags'],
    queryFn: async ({ signal }) => (await apiGet<Record<string, string>>('status/flags', {}, signal)).data,
    staleTime: 60_000,
  });
  const words = wordsOf(search);
  const rows = Object.entries(data ?? {})
    .filter(([name, value]) => hasWords(words, `--${name}=${value}`.toLowerCase()))
    .sort(([a], [b]) => a.localeCompare(b));
  return (
    <Stack gap="md">
      <PageTitle title="Command-line flags" />
      <TextInput
        aria-label="Search flags"
        placeholder="Search by name or value"
        leftSection={<IconSearch size={16} />}
        maw={480}
        value={search}
        onChange={(event) => {
          const text = event.currentTarget.value;
          setParams(text === '' ? {} : { search: text }, { replace: true });
        }}
      />
      {error && <QueryProblem error={error} />}
      {data && rows.length === 0 && <Hint>No flag matches.</Hint>}
      {rows.length > 0 && (
        <Paper withBorder className="ek-card">
          <Table className="ek-facts ek-mono">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Flag</Table.Th>
                <Table.Th>Value</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map(([name, value]) => (
                <Table.Tr key={name}>
                  <Table.Th scope="row">--{name}</Table.Th>
                  <Table.Td>{value}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Paper>
      )}
    </Stack>
  );
}
