// The query page: a list of panels and the button that adds one.
import { Button, Stack } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { PageTitle } from '../shell/PageTitle';
import { PanelView } from './PanelView';
import { usePanels } from './usePanels';

export default function QueryPage() {
  const [panels, actions] = usePanels();
  return (
    <Stack gap="lg">
      <PageTitle title="Query" hidden />
      {panels.map((panel, index) => (
        <PanelView key={panel.id} panel={panel} index={index} actions={actions} />
      ))}
      <div>
        <Button variant="default" leftSection={<IconPlus size={16} />} onClick={actions.add}>
          Add query
        </Button>
      </div>
    </Stack>
  );
}
