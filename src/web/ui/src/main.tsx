// Entry point. The code of the wanted page is asked for at once, not only
// when the frame has rendered.
import './shell/mantineStyles';
import './shell/app.css';
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
