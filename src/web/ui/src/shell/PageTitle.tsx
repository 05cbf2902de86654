// The heading of a page; also names the browser tab.
import { Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';

/** What the server calls itself. */
const siteTitle = document.title;

interface Props {
  title: string;
  /** Only for screen readers. */
  hidden?: boolean;
  children?: ReactNode;
}

export function PageTitle({ title, hidden = false, children }: Props) {
  useEffect(() => {
    document.title = `${title} - ${siteTitle}`;
  }, [title]);
  return (
    <div className={hidden ? 'ek-visually-hidden' : 'ek-page-title'}>
      <Title order={1} size="h2">
        {title}
      </Title>
      {children}
    </div>
  );
}
