// What only administrators see: who may sign in, tokens for programs, where events go, how long they are kept.
import { Tabs } from "@mantine/core";
import { useLocation, useNavigate } from "react-router";
import { useMay } from "../../app/session";
import { Page } from "../../components/Page";
import { Empty } from "../../components/states";
import { ApiTokens } from "./ApiTokens";
import { General } from "./General";
import { Retention } from "./Retention";
import { SingleSignOn } from "./SingleSignOn";
import { Users } from "./Users";

const TABS = [
  ["users", "Users", Users], ["sign-on", "Single sign-on", SingleSignOn], ["tokens", "API tokens", ApiTokens], ["retention", "Retention", Retention],
  ["general", "General", General],
] as const;

export default function Settings() {
  const navigate = useNavigate();
  const admin = useMay("Admin");
  const tab = useLocation().pathname.split("/")[2] || "users";
  if (!admin) {
    return <Page title="Settings"><Empty title="For administrators">Ask one to change settings, or to give you the role.</Empty></Page>;
  }
  return (
    <Page title="Settings">
      <Tabs value={tab} onChange={(value) => void navigate(`/settings/${value}`)} keepMounted={false}>
        <Tabs.List mb="md">
          {TABS.map(([value, title]) => <Tabs.Tab key={value} value={value}>{title}</Tabs.Tab>)}
        </Tabs.List>
        {TABS.map(([value, , Part]) => <Tabs.Panel key={value} value={value}><Part /></Tabs.Panel>)}
      </Tabs>
    </Page>
  );
}
