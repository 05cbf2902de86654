// Choices that are remembered in this browser: time zone and colour scheme.
import { ActionIcon, Menu, Tooltip, UnstyledButton, useMantineColorScheme } from '@mantine/core';
import { IconCheck, IconDeviceDesktop, IconMoon, IconSun } from '@tabler/icons-react';
import { useStore } from '../lib/store';
import { zoneStore } from '../lib/time';

const SCHEMES = [
  { value: 'light', label: 'Light', Icon: IconSun },
  { value: 'dark', label: 'Dark', Icon: IconMoon },
  { value: 'auto', label: 'Like the system', Icon: IconDeviceDesktop },
] as const;

export function Preferences() {
  const zone = useStore(zoneStore);
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const current = SCHEMES.find(({ value }) => value === colorScheme) ?? SCHEMES[2];
  const nextZone = zone === 'utc' ? 'local' : 'utc';
  return (
    <div className="ek-preferences">
      <Tooltip label={`Times are shown in ${zone === 'utc' ? 'UTC' : 'local time'}; click to change`}>
        <UnstyledButton
          className="ek-zone"
          data-testid="zone"
          aria-label={`Time zone: ${zone === 'utc' ? 'UTC' : 'local'}. Switch to ${nextZone === 'utc' ? 'UTC' : 'local'}`}
          onClick={() => zoneStore.set(nextZone)}
        >
          {zone === 'utc' ? 'UTC' : 'Local'}
        </UnstyledButton>
      </Tooltip>
      <Menu position="bottom-end" withInitialFocusPlaceholder={false} offset={6}>
        <Menu.Target>
          <ActionIcon
            size="lg"
            variant="subtle"
            color="gray"
            aria-label={`Colour scheme: ${current.label}`}
            data-testid="scheme"
          >
            <current.Icon size={18} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {SCHEMES.map(({ value, label, Icon }) => (
            <Menu.Item
              key={value}
              leftSection={<Icon size={16} />}
              rightSection={value === colorScheme ? <IconCheck size={14} aria-label="chosen" /> : null}
              onClick={() => setColorScheme(value)}
              data-testid={`scheme-${value}`}
            >
              {label}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}
