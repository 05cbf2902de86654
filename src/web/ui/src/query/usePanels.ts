// The panels of the query page. The address bar is the record: each change is
// written to it, and going back or forward restores the panels from it. What
// was typed and not run is kept beside it for the way back to the page.
import { useCallback, useEffect, useRef, useState } from 'react';
import { useLocation, useNavigate } from 'react-router';
import { createStore } from '../lib/store';
import { draftsOf, keepDrafts } from './drafts';
import { newPanel, type Panel } from './panel';
import { decodePanels, encodePanels } from './urlState';

/** Address part of the page when it was last shown, for the way back to it. */
export const lastSearchStore = createStore('');

export interface PanelActions {
  change(id: string, patch: Partial<Panel>): void;
  add(): void;
  duplicate(id: string, expr: string): void;
  remove(id: string): void;
  /** What was typed in a panel and not run. */
  draftOf(id: string): string | undefined;
  /** Keeps what is typed; null when it is what was run. */
  keepDraft(id: string, text: string | null): void;
}

function fromSearch(search: string): Panel[] {
  const panels = decodePanels(search);
  return panels.length > 0 ? panels : [newPanel()];
}

export function usePanels(): [Panel[], PanelActions] {
  const { search } = useLocation();
  const navigate = useNavigate();
  const drafts = useRef(new Map<string, string>());
  const [panels, setPanels] = useState(() => {
    const initial = fromSearch(search);
    draftsOf(search).forEach((text, index) => {
      const panel = initial[index];
      if (panel && text !== null) drafts.current.set(panel.id, text);
    });
    return initial;
  });
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

  useEffect(() => {
    const keep = () => {
      const texts = latest.current.map(({ id }) => drafts.current.get(id) ?? null);
      keepDrafts(known.current, texts);
    };
    // Before another page of the application, and before the page is unloaded.
    window.addEventListener('pagehide', keep);
    return () => {
      window.removeEventListener('pagehide', keep);
      keep();
    };
  }, []);

  const apply = useCallback(
    (wanted: Panel[]) => {
      const written = `?${encodePanels(wanted)}`;
      // Which of the expressions found no room is known when the address is written.
      const read = decodePanels(written);
      const next = wanted.map((panel, index) => {
        const { keeping: _, ...rest } = panel;
        const keeping = read[index]?.keeping;
        return keeping ? { ...rest, keeping } : rest;
      });
      latest.current = next;
      setPanels(next);
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
  const draftOf = useCallback((id: string) => drafts.current.get(id), []);
  const keepDraft = useCallback((id: string, text: string | null) => {
    if (text === null) drafts.current.delete(id);
    else drafts.current.set(id, text);
  }, []);
  return [panels, { change, add, duplicate, remove, draftOf, keepDraft }];
}
