// A target's labels; a click shows what discovery had found.
import { UnstyledButton } from '@mantine/core';
import { useState } from 'react';
import type { Labels } from '../lib/series';

export function Pairs({ labels }: { labels: Labels }) {
  return (
    <span className="ek-label-list">
      {Object.keys(labels).map((name) => (
        <span key={name} className="ek-label">
          <span className="ek-label-name">{name}</span>
          <span className="ek-label-text">{labels[name]}</span>
        </span>
      ))}
    </span>
  );
}

export function LabelList({ labels, discovered }: { labels: Labels; discovered?: Labels | undefined }) {
  const [isOpen, setOpen] = useState(false);
  const hasDiscovered = discovered !== undefined && Object.keys(discovered).length > 0;
  if (!hasDiscovered) return <Pairs labels={labels} />;
  return (
    <>
      <UnstyledButton
        className="ek-label-button"
        aria-expanded={isOpen}
        title={isOpen ? 'Hide discovered labels' : 'Show discovered labels'}
        onClick={() => setOpen(!isOpen)}
      >
        <Pairs labels={labels} />
      </UnstyledButton>
      {isOpen && (
        <div className="ek-discovered">
          <div className="ek-dimmed ek-small">Discovered labels</div>
          <Pairs labels={discovered} />
        </div>
      )}
    </>
  );
}
