// The pages and other parts that are loaded when needed, and which of them an
// address needs from the start.
import { deferred } from '../lib/deferred';

export const QueryPage = deferred(() => import('../query/QueryPage'));
export const ExprEditor = deferred(() => import('../editor/ExprEditor'));
export const GraphTab = deferred(() => import('../query/GraphTab'));
export const AlertsPage = deferred(() => import('../rules/AlertsPage'));
export const SilencesPage = deferred(() => import('../notifications/SilencesPage'));
export const NotificationsPage = deferred(() => import('../notifications/NotificationsPage'));
export const RulesPage = deferred(() => import('../rules/RulesPage'));
export const LabPage = deferred(() => import('../lab/LabPage'));
export const TimelinePage = deferred(() => import('../timeline/TimelinePage'));
export const TargetsPage = deferred(() => import('../targets/TargetsPage'));
export const DiscoveryPage = deferred(() => import('../discovery/DiscoveryPage'));
export const StatusPage = deferred(() => import('../status/StatusPage'));
export const TsdbPage = deferred(() => import('../status/TsdbPage'));
export const FlagsPage = deferred(() => import('../status/FlagsPage'));
export const ConfigPage = deferred(() => import('../status/ConfigPage'));

function partsFor(pathname: string, search: string) {
  switch (pathname.slice(pathname.lastIndexOf('/') + 1)) {
    case '':
    case 'graph':
    case 'query':
      return /[?&]g\d+\.tab=(0|graph)(&|$)/.test(search)
        ? [QueryPage, GraphTab, ExprEditor]
        : [QueryPage, ExprEditor];
    case 'alerts':
      return [AlertsPage];
    case 'silences':
      return [SilencesPage];
    case 'notifications':
      return [NotificationsPage];
    case 'rules':
      return [RulesPage];
    case 'lab':
      return [LabPage, ExprEditor];
    case 'timeline':
      return [TimelinePage];
    case 'targets':
      return [TargetsPage];
    case 'service-discovery':
      return [DiscoveryPage];
    case 'status':
      return [StatusPage];
    case 'tsdb-status':
      return [TsdbPage];
    case 'flags':
      return [FlagsPage];
    case 'config':
      return [ConfigPage];
    default:
      return [];
  }
}

/** Starts loading what an address shows, all at once. */
export function preloadFor(pathname: string, search: string) {
  // A failure shows when the part is rendered.
  for (const part of partsFor(pathname, search)) part.preload().catch(() => undefined);
}
