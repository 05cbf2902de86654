// The bar at the top: mark, navigation, time zone and colour scheme.
import { Burger, Menu, UnstyledButton } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconChevronDown } from '@tabler/icons-react';
import { useEffect } from 'react';
import { Link, NavLink, useLocation } from 'react-router';
import { useStore } from '../lib/store';
import { lastSearchStore } from '../query/usePanels';
import { useFiringCount } from '../rules/useRules';
import { Mark } from './Mark';
import { Preferences } from './Preferences';

const STATUS_PAGES = [
  { path: '/service-discovery', label: 'Service discovery' },
  { path: '/notifications', label: 'Notifications' },
  { path: '/status', label: 'Runtime and build' },
  { path: '/tsdb-status', label: 'TSDB status' },
  { path: '/flags', label: 'Command-line flags' },
  { path: '/config', label: 'Configuration' },
] as const;

/** Larger numbers of alerts are not told exactly. */
const MOST_COUNTED = 999;

const linkClass = ({ isActive }: { isActive: boolean }) => (isActive ? 'ek-nav-link active' : 'ek-nav-link');

/** How many alerts fire, when any do. */
function FiringBadge() {
  const count = useFiringCount();
  if (count === 0) return null;
  return (
    <span className="ek-nav-badge" data-testid="firing-badge">
      {count > MOST_COUNTED ? `${MOST_COUNTED}+` : count}
      <span className="ek-visually-hidden"> firing</span>
    </span>
  );
}

function MainLinks() {
  const { pathname } = useLocation();
  const querySearch = useStore(lastSearchStore);
  const isQuery = pathname === '/query';
  return (
    <>
      <NavLink
        to={{ pathname: '/query', search: isQuery ? '' : querySearch }}
        className={linkClass}
        data-testid="nav-query"
      >
        Query
      </NavLink>
      <NavLink to="/alerts" className={linkClass} data-testid="nav-alerts">
        Alerts <FiringBadge />
      </NavLink>
      <NavLink to="/silences" className={linkClass} data-testid="nav-silences">
        Silences
      </NavLink>
      <NavLink to="/rules" className={linkClass} data-testid="nav-rules">
        Rules
      </NavLink>
      <NavLink to="/timeline" className={linkClass} data-testid="nav-timeline">
        Timeline
      </NavLink>
      <NavLink to="/lab" className={linkClass} data-testid="nav-lab">
        Lab
      </NavLink>
      <NavLink to="/targets" className={linkClass} data-testid="nav-targets">
        Targets
      </NavLink>
    </>
  );
}

function StatusMenu() {
  const { pathname } = useLocation();
  const isActive = STATUS_PAGES.some((page) => page.path === pathname);
  return (
    <Menu position="bottom-start" withInitialFocusPlaceholder={false} offset={6}>
      <Menu.Target>
        <UnstyledButton className={linkClass({ isActive })} data-testid="nav-status">
          Status <IconChevronDown size={14} aria-hidden />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        {STATUS_PAGES.map(({ path, label }) => (
          <Menu.Item
            key={path}
            component={Link}
            to={path}
            aria-current={pathname === path ? 'page' : undefined}
            data-testid={`nav${path.replace('/', '-')}`}
          >
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

export function Header() {
  const [isOpen, { toggle, close }] = useDisclosure(false);
  const { pathname } = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: going somewhere closes the small menu.
  useEffect(close, [pathname]);
  return (
    <header className="ek-header">
      <div className="ek-header-bar">
        <Link to="/query" className="ek-brand" aria-label="Emberkeep, query page">
          <Mark />
          <span>Emberkeep</span>
        </Link>
        <nav className="ek-nav ek-wide" aria-label="Main">
          <MainLinks />
          <StatusMenu />
        </nav>
        <div className="ek-spacer" />
        <Preferences />
        <Burger
          className="ek-narrow"
          size="sm"
          opened={isOpen}
          onClick={toggle}
          aria-label={isOpen ? 'Close navigation' : 'Open navigation'}
          aria-expanded={isOpen}
        />
      </div>
      {isOpen && (
        <nav className="ek-nav-small ek-narrow" aria-label="Main">
          <MainLinks />
          {STATUS_PAGES.map(({ path, label }) => (
            <NavLink key={path} to={path} className={linkClass}>
              {label}
            </NavLink>
          ))}
        </nav>
      )}
    </header>
  );
}
