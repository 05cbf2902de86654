// The expression of a rule: coloured, broken into lines when it is long, with a
// link to its graph.
import { Anchor } from '@mantine/core';
import { useInViewport } from '@mantine/hooks';
import { IconChartLine, IconFlask } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { memo, useEffect } from 'react';
import { Link } from 'react-router';
import { apiPost } from '../api/client';
import { createStore, useStore } from '../lib/store';
import { newPanel } from '../query/panel';
import { encodePanels } from '../query/urlState';
import { linesOf } from './lines';

/** Shorter ones stay on one line. */
const LONG_EXPR = 80;

type Colouring = typeof import('../editor/colours').colouredParts;

// The syntax comes with the editor, which is large: expressions are plain until it is here.
const colouring = createStore<{ partsOf: Colouring | null }>({ partsOf: null });

function useColouring(): Colouring | null {
  useEffect(() => {
    if (colouring.get().partsOf) return;
    import('../editor/colours').then(
      ({ colouredParts }) =>
        colouring.set((current) => (current.partsOf ? current : { partsOf: colouredParts })),
      // Plain text will do.
      () => undefined,
    );
  }, []);
  return useStore(colouring).partsOf;
}

const Coloured = memo(function Coloured({ expr }: { expr: string }) {
  const partsOf = useColouring();
  // Lines and parts have no other identity than their place.
  return linesOf(partsOf ? partsOf(expr) : [{ text: expr }]).map(({ indent, parts }, at) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: see above.
    <span key={at} className="ek-expr-line" style={{ paddingLeft: `${indent}ch` }}>
      {parts.map(({ text, className }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: see above.
        <span key={index} className={className}>
          {text}
        </span>
      ))}
    </span>
  ));
});

/** Where an expression is drawn. */
function graphOf(expr: string) {
  return { pathname: '/query', search: encodePanels([{ ...newPanel(), expr, tab: 'graph' }]) };
}

interface Props {
  expr: string;
  name: string;
  /** Where the rule is tried, of an alerting rule. */
  lab?: { pathname: string; search: string };
}

export function Expression({ expr, name, lab }: Props) {
  const { ref, inViewport } = useInViewport<HTMLDivElement>();
  // Only what is in sight is formatted: there may be thousands of rules.
  const { data: formatted } = useQuery({
    queryKey: ['formatted', expr],
    queryFn: async ({ signal }) => (await apiPost<string>('format_query', { query: expr }, signal)).data,
    enabled: expr.length > LONG_EXPR && inViewport,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  return (
    <div className="ek-rule-expr" ref={ref}>
      <code data-testid="rule-expr">
        <Coloured expr={formatted ?? expr} />
      </code>
      <Anchor
        component={Link}
        to={graphOf(expr)}
        size="sm"
        className="ek-rule-graph"
        aria-label={`Graph of ${name}`}
        data-testid="rule-graph"
      >
        <IconChartLine size={15} aria-hidden /> Graph
      </Anchor>
      {lab && (
        <Anchor
          component={Link}
          to={lab}
          size="sm"
          className="ek-rule-graph"
          aria-label={`Try ${name} in the lab`}
          data-testid="rule-lab"
        >
          <IconFlask size={15} aria-hidden /> Lab
        </Anchor>
      )}
    </div>
  );
}
