// The panels of the query page. The address bar is the record: each change is
// written to it, and going back or forward restores the panels from it.
import { useCallback, useEffect, useRef, useState } from 'react';
import { useLocation, useNavigate } from 'react-router';
import { createStore } from '../lib/store';
import { newPanel, type Panel } from './panel';
import { decodePanels, encodePanels } from './urlState';

/** Address part of the page when it was last shown, for the way back to it. */
export const lastSearchStore = createStore('');

export interface PanelActions {
  change(id: string, patch: Partial<Panel>): void;
  add(): void;
  duplicate(id: string, expr: string): void;
  remove(id: string): void;
}

function fromSearch(search: string): Panel[] {
  const panels = decodePanels(search);
  return panels.length > 0 ? panels : [newPanel()];
}

export function usePanels(): [Panel[], PanelActions] {
  const { search } = useLocation();
  const navigate = useNavigate();
  const [panels, setPanels] = useState(() => fromSearch(search));
  const known = useRef(search);
  const latest = useRef(panels);
  latest.current = panels;

  useEffect(() => {
    lastSearchStore.set(search);
    if (search === known.current) return;
    known.current = search;
    // Panels at the same place keep their identity, and so their editor.
    setPanels((current) =>
      fromSearch(search).map((panel, index) => ({ ...panel, id: current[index]?.id ?? panel.id })),
    );
  }, [search]);

  const apply = useCallback(
    (next: Panel[]) => {
      latest.current = next;
      setPanels(next);
      const written = `?${encodePanels(next)}`;
      if (written === known.current) return;
      known.current = written;
      navigate({ search: written });
    },
    [navigate],
  );

  const change = useCallback(
    (id: string, patch: Partial<Panel>) =>
      apply(latest.current.map((panel) => (panel.id === id ? { ...panel, ...patch } : panel))),
    [apply],
  );
  const add = useCallback(() => apply([...latest.current, newPanel()]), [apply]);
  const duplicate = useCallback(
    (id: string, expr: string) =>
      apply(
        latest.current.flatMap((panel) =>
          panel.id === id ? [panel, { ...panel, expr, id: newPanel().id }] : [panel],
        ),
      ),
    [apply],
  );
  const remove = useCallback(
    (id: string) => {
      const rest = latest.current.filter((panel) => panel.id !== id);
      apply(rest.length > 0 ? rest : [newPanel()]);
    },
    [apply],
  );
  return [panels, { change, add, duplicate, remove }];
}
