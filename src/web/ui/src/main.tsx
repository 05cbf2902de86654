// Entry point. The code of the wanted page is asked for at once, not only
// when the frame has rendered. All styles are loaded here: unlike code, styles that
// failed to load are not asked for again.
import './shell/mantineStyles';
import 'uplot/dist/uPlot.min.css';
import './shell/app.css';
import './graph/graph.css';
import './rules/rules.css';
import './notifications/notifications.css';
import './discovery/discovery.css';
import './shell/narrow.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './shell/App';
import { preloadFor } from './shell/pages';

preloadFor(location.pathname, location.search);

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
