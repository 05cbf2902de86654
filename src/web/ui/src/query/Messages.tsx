// Notes about a result: errors, warnings, infos and an empty answer.
import { Alert, Text } from '@mantine/core';
import { IconAlertTriangle, IconInfoCircle } from '@tabler/icons-react';
import { ApiError } from '../api/client';

export function Problem({ title, text }: { title: string; text: string }) {
  return (
    <Alert
      color="red"
      variant="light"
      radius="md"
      mt="sm"
      icon={<IconAlertTriangle size={18} />}
      title={title}
      role="alert"
    >
      <span className="ek-message">{text}</span>
    </Alert>
  );
}

const TITLES: Readonly<Record<string, string>> = {
  bad_data: 'The query is not valid',
  execution: 'The query failed',
  timeout: 'The query took too long',
  canceled: 'The query was cancelled',
  network: 'The server cannot be reached',
};

export function QueryProblem({ error }: { error: unknown }) {
  const kind = error instanceof ApiError ? error.kind : '';
  const text = error instanceof Error ? error.message : String(error);
  return <Problem title={TITLES[kind] ?? 'The query failed'} text={text} />;
}

function Notes({ color, title, notes }: { color: string; title: string; notes: string[] }) {
  if (notes.length === 0) return null;
  return (
    <Alert
      color={color}
      variant="light"
      radius="md"
      mt="sm"
      icon={<IconInfoCircle size={18} />}
      title={title}
    >
      {notes.map((note) => (
        <div key={note} className="ek-message">
          {note}
        </div>
      ))}
    </Alert>
  );
}

export function Annotations({ warnings, infos }: { warnings: string[]; infos: string[] }) {
  return (
    <>
      <Notes color="yellow" title={warnings.length === 1 ? 'Warning' : 'Warnings'} notes={warnings} />
      <Notes color="blue" title={infos.length === 1 ? 'Note' : 'Notes'} notes={infos} />
    </>
  );
}

export function Hint({ children }: { children: string }) {
  return (
    <Text c="dimmed" size="sm" ta="center" py="xl">
      {children}
    </Text>
  );
}
