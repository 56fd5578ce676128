// Which page stands at which address.
import { lazy, Suspense } from "react";
import { Link, Navigate, Route, Routes } from "react-router";
import { Page } from "../components/Page";
import { Empty, Loading } from "../components/states";
import { SessionProvider } from "./session";
import { Setup } from "./Setup";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";

const Overview = lazy(() => import("../pages/overview/Overview"));
const Events = lazy(() => import("../pages/events/Events"));
const Policies = lazy(() => import("../pages/policies/Policies"));
const Policy = lazy(() => import("../pages/policies/Policy"));
const NodePolicy = lazy(() => import("../pages/policies/NodePolicy"));
const PolicyEditor = lazy(() => import("../pages/policies/PolicyEditor"));
const Templates = lazy(() => import("../pages/policies/Templates"));
const Workloads = lazy(() => import("../pages/workloads/Workloads"));
const Workload = lazy(() => import("../pages/workloads/Workload"));
const Enforcers = lazy(() => import("../pages/enforcers/Enforcers"));
const Notifiers = lazy(() => import("../pages/notifiers/Notifiers"));
const Notifier = lazy(() => import("../pages/notifiers/Notifier"));
const NotifierEditor = lazy(() => import("../pages/notifiers/NotifierEditor"));
const Audit = lazy(() => import("../pages/audit/Audit"));
const Settings = lazy(() => import("../pages/settings/Settings"));

export function App() {
  return (
    <Routes>
      <Route path="/setup" element={<Setup />} />
      <Route path="*" element={<SessionProvider signIn={<SignIn />}><Signed /></SessionProvider>} />
    </Routes>
  );
}

function Signed() {
  return (
    <Shell>
      <Suspense fallback={<Loading label="Loading the page" />}>
        <Routes>
          <Route index element={<Navigate to="/overview" replace />} />
          <Route path="overview" element={<Overview />} />
          <Route path="events" element={<Events />} />
          <Route path="policies" element={<Policies />} />
          <Route path="policies/new" element={<PolicyEditor />} />
          <Route path="policies/templates" element={<Templates />} />
          <Route path="policies/:name" element={<Policy />} />
          <Route path="policies/:name/edit" element={<PolicyEditor />} />
          <Route path="policies/nodes/:kind/:name" element={<NodePolicy />} />
          <Route path="workloads" element={<Workloads />} />
          <Route path="workloads/:namespace/:kind/:name" element={<Workload />} />
          <Route path="enforcers" element={<Enforcers />} />
          <Route path="notifiers" element={<Notifiers />} />
          <Route path="notifiers/new" element={<NotifierEditor />} />
          <Route path="notifiers/:id" element={<Notifier />} />
          <Route path="notifiers/:id/edit" element={<NotifierEditor />} />
          <Route path="audit" element={<Audit />} />
          <Route path="settings/*" element={<Settings />} />
          <Route path="*" element={<NotFound />} />
        </Routes>
      </Suspense>
    </Shell>
  );
}

function NotFound() {
  return (
    <Page title="Nothing here">
      <Empty title="There is no such page" action={<Link to="/overview">Go to the overview</Link>}>
        The address may be old, or have lost a part on its way here.
      </Empty>
    </Page>
  );
}
