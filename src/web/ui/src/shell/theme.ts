// Look of the whole page: fonts, the ember accent, component defaults.
import {
  ActionIcon,
  Button,
  createTheme,
  type MantineColorsTuple,
  NativeSelect,
  TextInput,
} from '@mantine/core';

const ember: MantineColorsTuple = [
  '#fff4ec',
  '#ffe5d3',
  '#fdcba8',
  '#fbab75',
  '#f98b4b',
  '#f2702a',
  '#dd5410',
  '#bf430b',
  '#98360c',
  '#772c0e',
];

// Warm greys, so that dark surfaces sit well beside the accent.
const dark: MantineColorsTuple = [
  '#d8d2cd',
  '#c3bcb6',
  '#a89f98',
  '#857c75',
  '#4a433e',
  '#38322e',
  '#2b2623',
  '#1d1a18',
  '#161412',
  '#0f0d0c',
];

export const theme = createTheme({
  primaryColor: 'ember',
  primaryShade: 7,
  colors: { ember, dark },
  defaultRadius: 'md',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif',
  fontFamilyMonospace:
    'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace',
  cursorType: 'pointer',
  components: {
    ActionIcon: ActionIcon.extend({ defaultProps: { variant: 'subtle' } }),
    Button: Button.extend({ defaultProps: { size: 'sm' } }),
    NativeSelect: NativeSelect.extend({ defaultProps: { size: 'sm' } }),
    TextInput: TextInput.extend({ defaultProps: { size: 'sm' } }),
  },
});
