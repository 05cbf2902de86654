// The frame of every page and the routes inside it.
import { MantineProvider, Text } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { BrowserRouter, Navigate, Outlet, Route, Routes, useLocation } from 'react-router';
import { useHeartbeat, useRecovery } from '../api/hooks';
import { pathPrefix } from '../lib/prefix';
import { Banners } from './Banners';
import { ErrorBoundary } from './ErrorBoundary';
import { Header } from './Header';
import { PageTitle } from './PageTitle';
import {
  AlertsPage,
  ConfigPage,
  DiscoveryPage,
  FlagsPage,
  LabPage,
  NotificationsPage,
  QueryPage,
  RulesPage,
  SilencesPage,
  StatusPage,
  TargetsPage,
  TimelinePage,
  TsdbPage,
} from './pages';
import { theme } from './theme';

const queries = new QueryClient({
  defaultOptions: { queries: { retry: 1, refetchOnWindowFocus: false, networkMode: 'always' } },
});

function ToQuery() {
  const { search } = useLocation();
  return <Navigate to={{ pathname: '/query', search }} replace />;
}

function NotFound() {
  const { pathname } = useLocation();
  return (
    <>
      <PageTitle title="No such page" />
      <Text>There is no page at {pathname}.</Text>
    </>
  );
}

function Frame() {
  useHeartbeat();
  useRecovery();
  const { pathname } = useLocation();
  return (
    <>
      <a className="ek-skip" href="#main">
        Skip to content
      </a>
      <Header />
      <main id="main" tabIndex={-1} className="ek-main">
        <Banners />
        <ErrorBoundary resetKey={pathname}>
          <Outlet />
        </ErrorBoundary>
      </main>
    </>
  );
}

export function App() {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <QueryClientProvider client={queries}>
        <BrowserRouter basename={pathPrefix === '' ? '/' : pathPrefix}>
          <Routes>
            <Route element={<Frame />}>
              <Route path="/query" element={<QueryPage />} />
              <Route path="/alerts" element={<AlertsPage />} />
              <Route path="/silences" element={<SilencesPage />} />
              <Route path="/notifications" element={<NotificationsPage />} />
              <Route path="/rules" element={<RulesPage />} />
              <Route path="/lab" element={<LabPage />} />
              <Route path="/timeline" element={<TimelinePage />} />
              <Route path="/targets" element={<TargetsPage />} />
              <Route path="/service-discovery" element={<DiscoveryPage />} />
              <Route path="/status" element={<StatusPage />} />
              <Route path="/tsdb-status" element={<TsdbPage />} />
              <Route path="/flags" element={<FlagsPage />} />
              <Route path="/config" element={<ConfigPage />} />
              <Route path="/" element={<ToQuery />} />
              <Route path="/graph" element={<ToQuery />} />
              <Route path="*" element={<NotFound />} />
            </Route>
          </Routes>
        </BrowserRouter>
      </QueryClientProvider>
    </MantineProvider>
  );
}
