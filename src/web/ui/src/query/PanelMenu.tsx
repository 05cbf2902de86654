// The menu of a query panel.
import { ActionIcon, Menu } from '@mantine/core';
import { IconAlignLeft, IconCopy, IconDotsVertical, IconTrash, IconWorldSearch } from '@tabler/icons-react';

interface Props {
  canFormat: boolean;
  onExplore(): void;
  onFormat(): void;
  onDuplicate(): void;
  onRemove(): void;
}

export function PanelMenu({ canFormat, onExplore, onFormat, onDuplicate, onRemove }: Props) {
  return (
    <Menu position="bottom-end" withInitialFocusPlaceholder={false} withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label="Panel menu" data-testid="panel-menu">
          <IconDotsVertical size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconWorldSearch size={16} />} onClick={onExplore}>
          Explore metrics
        </Menu.Item>
        <Menu.Item leftSection={<IconAlignLeft size={16} />} onClick={onFormat} disabled={!canFormat}>
          Format expression
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item leftSection={<IconCopy size={16} />} onClick={onDuplicate}>
          Duplicate panel
        </Menu.Item>
        <Menu.Item leftSection={<IconTrash size={16} />} onClick={onRemove}>
          Remove panel
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
