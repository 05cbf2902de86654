// Entry point. The code of the wanted page is asked for at once, not only
// when the frame has rendered.
import './shell/mantineStyles';
import './shell/app.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './shell/App';

const page = location.pathname.slice(location.pathname.lastIndexOf('/') + 1);
if (page === '' || page === 'query' || page === 'graph') {
  void import('./query/QueryPage');
  void import('./editor/ExprEditor');
  if (/[?&]g\d+\.tab=(0|graph)(&|$)/.test(location.search)) void import('./query/GraphTab');
}

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
