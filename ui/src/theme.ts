// Colours, type and sizes: the one place that says what the dashboard looks like.
import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from "@mantine/core";

const water: MantineColorsTuple = [
  "#e6f7fa", "#cfeaf0", "#a0d5e0", "#6dbfd0", "#45acc2", "#2b9fb8", "#12859d", "#0b7285", "#065b6b", "#034652",
];
const slate: MantineColorsTuple = [
  "#f7f9fa", "#eef2f4", "#e1e7ea", "#cbd5da", "#a3b1b9", "#788992", "#58686f", "#414f56", "#2b363c", "#1a2226",
];
/** Dark surfaces, lightest first, as Mantine wants them. */
const dark: MantineColorsTuple = [
  "#d7dfe3", "#b7c3c9", "#98a7ae", "#62727a", "#3a474e", "#2a353b", "#1d262b", "#151d21", "#10171a", "#0b1113",
];

export const theme = createTheme({
  primaryColor: "water",
  primaryShade: 7,
  colors: { water, slate, dark, gray: slate },
  fontFamily: "'Inter Variable', system-ui, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono Variable', ui-monospace, monospace",
  headings: { fontFamily: "'Inter Variable', system-ui, sans-serif", fontWeight: "650" },
  fontSizes: { xs: "0.75rem", sm: "0.8125rem", md: "0.875rem", lg: "1rem", xl: "1.125rem" },
  defaultRadius: "md",
  cursorType: "pointer",
  autoContrast: true,
  respectReducedMotion: true,
  components: {
    Alert: { defaultProps: { closeButtonLabel: "Close" } },
    Badge: { defaultProps: { radius: "sm", variant: "light", tt: "none" } },
    Button: { defaultProps: { size: "sm" } },
    Notification: { defaultProps: { closeButtonProps: { "aria-label": "Close" } } },
    Tooltip: { defaultProps: { openDelay: 250, withArrow: true } },
    Modal: {
      defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.4 }, closeButtonProps: { "aria-label": "Close" } },
      styles: { content: { background: "var(--moat-surface)" }, header: { background: "var(--moat-surface)" } },
    },
    Drawer: {
      defaultProps: { overlayProps: { backgroundOpacity: 0.25 }, closeButtonProps: { "aria-label": "Close" } },
      styles: { content: { background: "var(--moat-surface)" }, header: { background: "var(--moat-surface)" } },
    },
    TextInput: { defaultProps: { size: "sm" } },
    Select: { defaultProps: { size: "sm", comboboxProps: { shadow: "md" } } },
  },
});

/** What both colour schemes call by one name. Text on its surface has a contrast of 4.5:1 or more (WCAG 2.2, 1.4.3). */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-body": "#f4f6f7",
    "--mantine-color-dimmed": "#55656d",
    "--mantine-color-green-light-color": "#145c34",
    "--mantine-color-yellow-light-color": "#7a4a00",
    "--mantine-color-error": "#a3123f",
    "--moat-surface": "#ffffff",
    "--moat-sunken": "#eef2f4",
    "--moat-border": "#dde4e7",
    "--moat-hover": "#f0f5f6",
    "--moat-selected": "#e0f2f6",
    "--moat-critical": "#a3123f",
    "--moat-high": "#b93815",
    "--moat-medium": "#8f5d00",
    "--moat-low": "#17619e",
    "--moat-info": "#55656d",
    "--moat-good": "#1b7442",
    "--moat-accent": "#0b7285",
    // Of areas, where no text stands on them and a lighter tone is enough.
    "--moat-fill-critical": "#a3123f",
    "--moat-fill-high": "#e06a45",
    "--moat-fill-medium": "#e8b04a",
    "--moat-fill-low": "#8fbce3",
    "--moat-fill-info": "#c6d0d5",
  },
  dark: {
    "--mantine-color-body": "#0e1417",
    "--mantine-color-dimmed": "#9aaab2",
    "--mantine-color-error": "#ff7d9c",
    "--mantine-color-yellow-light": "rgba(240, 184, 73, 0.14)",
    "--mantine-color-yellow-light-color": "#f0b849",
    "--moat-surface": "#151d21",
    "--moat-sunken": "#10171a",
    "--moat-border": "#28333a",
    "--moat-hover": "#1b252a",
    "--moat-selected": "#14343c",
    "--moat-critical": "#ff7d9c",
    "--moat-high": "#ff9470",
    "--moat-medium": "#f0b849",
    "--moat-low": "#7cbcf5",
    "--moat-info": "#9aaab2",
    "--moat-good": "#5fcf8f",
    "--moat-accent": "#5cc6da",
    "--moat-fill-critical": "#e0456f",
    "--moat-fill-high": "#d9724f",
    "--moat-fill-medium": "#c99a3c",
    "--moat-fill-low": "#4a7fb0",
    "--moat-fill-info": "#55656d",
  },
});
