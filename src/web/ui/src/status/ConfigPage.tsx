// The configuration the server has loaded, as YAML with a copy button.
import { Button, Paper, Stack } from '@mantine/core';
import { useTimeout } from '@mantine/hooks';
import { IconCheck, IconCopy } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Fragment, useMemo, useState } from 'react';
import { apiGet } from '../api/client';
import { copyText } from '../lib/clipboard';
import { QueryProblem } from '../query/Messages';
import { PageTitle } from '../shell/PageTitle';
import { yamlParts } from './yaml';

function Yaml({ text }: { text: string }) {
  const lines = useMemo(() => text.replace(/\n$/, '').split('\n').map(yamlParts), [text]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard.
    <section className="ek-yaml" tabIndex={0} aria-label="Configuration">
      <pre>
        {lines.map((parts, line) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other identity than their place.
          <Fragment key={line}>
            {parts.map(({ kind, text: part }, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: as above.
              <span key={index} className={kind === 'plain' ? undefined : `ek-yaml-${kind}`}>
                {part}
              </span>
            ))}
            {'\n'}
          </Fragment>
        ))}
      </pre>
    </section>
  );
}

function CopyButton({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  const { start } = useTimeout(() => setCopied(false), 2000);
  return (
    <Button
      variant="default"
      leftSection={isCopied ? <IconCheck size={16} /> : <IconCopy size={16} />}
      onClick={async () => {
        setCopied(await copyText(text));
        start();
      }}
    >
      {isCopied ? 'Copied' : 'Copy'}
    </Button>
  );
}

export default function ConfigPage() {
  const { data, error } = useQuery({
    queryKey: ['status', 'config'],
    queryFn: async ({ signal }) => (await apiGet<{ yaml?: string }>('status/config', {}, signal)).data,
    staleTime: 10_000,
  });
  const yaml = data?.yaml ?? '';
  return (
    <Stack gap="md">
      <PageTitle title="Configuration">{data && <CopyButton text={yaml} />}</PageTitle>
      {error && <QueryProblem error={error} />}
      {data && (
        <Paper withBorder className="ek-card ek-card-flush">
          <Yaml text={yaml} />
        </Paper>
      )}
    </Stack>
  );
}
