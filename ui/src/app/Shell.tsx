// What stands around each page: navigation, who is signed in, light or dark.
import { ActionIcon, AppShell, Burger, Group, Menu, Text, Tooltip, useComputedColorScheme, useMantineColorScheme, VisuallyHidden } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconActivity, IconAffiliate, IconBell, IconBook, IconBox, IconChecklist, IconChevronDown, IconHistory, IconLayoutDashboard, IconLogout,
  IconMoon, IconPhoto, IconServer, IconSettings, IconShield, IconSun,
} from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useRef } from "react";
import { NavLink } from "react-router";
import { api, body, setCsrf } from "../api/client";
import { sessionKey, useMay, useSession } from "./session";

const PAGES = [
  ["/overview", "Overview", IconLayoutDashboard],
  ["/events", "Events", IconActivity],
  ["/policies", "Policies", IconShield],
  ["/workloads", "Workloads", IconBox],
  ["/enforcers", "Enforcers", IconServer],
  ["/notifiers", "Notifiers", IconBell],
  ["/audit", "Audit log", IconHistory],
] as const;

/** Parts that Moat does not have yet. They have their place, and say so. */
const LATER = [
  ["Network", IconAffiliate],
  ["Images", IconPhoto],
  ["Compliance", IconChecklist],
] as const;

export function Shell({ children }: { children: ReactNode }) {
  const [open, navigation] = useDisclosure();
  const main = useRef<HTMLElement>(null);
  const admin = useMay("Admin");
  return (
    <AppShell navbar={{ width: 224, breakpoint: "sm", collapsed: { mobile: !open } }}
      header={{ height: { base: 48, sm: 0 } }}>
      <a className="skip-link" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to the content
      </a>
      <AppShell.Header hiddenFrom="sm" px="md" style={{ display: "flex", alignItems: "center" }}>
        <Burger opened={open} onClick={navigation.toggle} size="sm" aria-label="Navigation" />
      </AppShell.Header>
      <AppShell.Navbar p={12} bg="var(--moat-surface)" style={{ borderColor: "var(--moat-border)" }}>
        <Group gap={10} px={8} pt={6} pb={16}>
          <img src="/moat.svg" width={28} height={28} alt="" />
          <Text fw={700} size="1.05rem" style={{ letterSpacing: "-0.01em" }}>Moat</Text>
        </Group>
        <nav aria-label="Pages" style={{ display: "grid", gap: 2 }}>
          {PAGES.map(([to, title, Icon]) => (
            <NavLink key={to} to={to} className="nav-link"><Icon size={18} stroke={1.7} aria-hidden />{title}</NavLink>
          ))}
          {admin && (
            <NavLink to="/settings" className="nav-link"><IconSettings size={18} stroke={1.7} aria-hidden />Settings</NavLink>
          )}
        </nav>
        <Text className="label" px={10} pt={22} pb={4}>Not in this version</Text>
        <ul style={{ listStyle: "none", margin: 0, padding: 0 }}>
          {LATER.map(([title, Icon]) => (
            <li key={title} className="nav-later"><Icon size={18} stroke={1.7} aria-hidden />{title}</li>
          ))}
        </ul>
        <div style={{ marginTop: "auto" }}><Account /></div>
      </AppShell.Navbar>
      <AppShell.Main ref={main} id="main" tabIndex={-1} style={{ height: "100dvh", overflow: "auto", outline: "none" }}>
        {children}
      </AppShell.Main>
    </AppShell>
  );
}

function Account() {
  const session = useSession();
  const queries = useQueryClient();
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme("light", { getInitialValueInEffect: false }) === "dark";
  const signOut = async () => {
    await body(api.DELETE("/session"));
    setCsrf("");
    queries.setQueryData(sessionKey, null);
    // Whoever signs in next must not see for a moment what the one before was shown.
    queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionKey[0] });
  };
  return (
    <Group justify="space-between" wrap="nowrap" gap={4} pt={10} style={{ borderTop: "1px solid var(--moat-border)" }}>
      <Menu position="top-start" width={200} shadow="md">
        <Menu.Target>
          <button type="button" className="nav-link"
            style={{ background: "none", border: 0, font: "inherit", cursor: "pointer", minWidth: 0 }}>
            <span style={{ minWidth: 0, textAlign: "left" }}>
              <VisuallyHidden>Account of </VisuallyHidden>
              <span className="ellipsis" style={{ display: "block", maxWidth: 120, fontWeight: 600 }}>{session.user.name}</span>
              <span className="label">{session.user.role}</span>
            </span>
            <IconChevronDown size={14} aria-hidden />
          </button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconBook size={16} />} component="a" href="/api/v1/openapi.json" target="_blank">
            The API (OpenAPI)
          </Menu.Item>
          <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void signOut()}>Sign out</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Tooltip label={dark ? "Light colours" : "Dark colours"}>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={dark ? "Light colours" : "Dark colours"}
          onClick={() => setColorScheme(dark ? "light" : "dark")}>
          {dark ? <IconSun size={18} /> : <IconMoon size={18} />}
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}
