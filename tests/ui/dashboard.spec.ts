// The journeys of people who use the dashboard, in a real browser against a real console with a real store.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, type Page, test } from "@playwright/test";
import { receiver, type Receiver } from "./receiver";
import { stage } from "./stage";

const PASSWORD = "correct horse battery";
/** A field that must be filled has a star behind its label. */
const PASSWORD_FIELD = /^Password( \*)?$/;
const PICTURES = process.env["MOAT_UI_PICTURES"] ?? "";

test.describe.configure({ mode: "serial" });

let page: Page;
/** Whatever the browser complained about: nothing may. */
const complaints: string[] = [];

function listen(to: Page): void {
  to.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  to.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  to.on("console", (message) => {
    // Answers that are no success are logged by the browser itself; the tests that provoke them look at the page.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
  });
}

test.beforeAll(async ({ browser }) => {
  page = await browser.newPage();
  listen(page);
});

test.afterEach(() => {
  expect(complaints.splice(0)).toEqual([]);
});

async function signIn(to: Page, name: string, password: string): Promise<void> {
  await to.getByLabel("Name").fill(name);
  await to.getByLabel(PASSWORD_FIELD).fill(password);
  await to.getByRole("button", { name: "Sign in", exact: true }).click();
}

async function picture(name: string, of: Page = page): Promise<void> {
  await of.mouse.move(0, 0);
  await of.screenshot({ path: `${PICTURES}/${name}.png`, animations: "disabled" });
}

/** No violation of WCAG 2.2 A and AA that axe finds, contrast among them. */
async function accessible(of: Page = page): Promise<void> {
  await of.evaluate(readFileSync(createRequire(`${process.env["MOAT_UI_SOURCES"]}/package.json`).resolve("axe-core/axe.min.js"), "utf8"));
  const found = await of.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run: (options: unknown) => Promise<{ violations: {
      id: string; nodes: { target: string[]; failureSummary?: string }[] }[] }> } };
    const { violations } = await axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] });
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary ?? ""}`));
  });
  expect(found).toEqual([]);
}

/** The whole text of the editor becomes another, as one would paste it. */
async function write(text: string): Promise<void> {
  const editor = page.getByTestId("editor").getByRole("textbox");
  await editor.click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(text);
}

test("the one-time link makes the first administrator", async () => {
  await page.goto(process.env["MOAT_UI_SETUP"] ?? "");
  await expect(page).toHaveURL(/\/setup$/);
  await page.getByLabel(PASSWORD_FIELD).fill("short");
  await page.getByLabel("Password, again").fill("short");
  await expect(page.getByRole("button", { name: "Start" })).toBeDisabled();
  await page.getByLabel(PASSWORD_FIELD).fill(PASSWORD);
  await page.getByLabel("Password, again").fill(PASSWORD);
  await accessible();
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
  await expect(page.getByText("Nothing to see yet")).toBeVisible();
});

test("the link works once", async ({ browser }) => {
  const other = await browser.newPage();
  await other.goto(process.env["MOAT_UI_SETUP"] ?? "");
  await other.getByLabel(PASSWORD_FIELD).fill(PASSWORD);
  await other.getByLabel("Password, again").fill(PASSWORD);
  await other.getByRole("button", { name: "Start" }).click();
  await expect(other.getByRole("alert")).toBeVisible();
  await other.close();
});

test("signing out and in, with a wrong password between", async () => {
  await page.getByRole("button", { name: "Account of admin" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await signIn(page, "admin", "wrong horse battery");
  await expect(page.getByRole("alert")).toBeVisible();
  await accessible();
  await signIn(page, "admin", PASSWORD);
  await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
});

test("every page has something to say while there is nothing", async () => {
  for (const [link, words] of [["Events", "Quiet so far"], ["Policies", "No policies yet"], ["Workloads", "No workloads yet"],
    ["Enforcers", "No node has enrolled yet"], ["Notifiers", "Events stay here so far"]] as const) {
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: link }).click();
    await expect(page.getByText(words)).toBeVisible();
    await accessible();
  }
});

test("the overview shows what nodes report", async () => {
  await stage("seed");
  await page.goto("/overview");
  await expect(page.getByText("Workloads protected")).toBeVisible();
  await expect(page.getByRole("img", { name: /events over time/ })).toBeVisible();
  await accessible();
  await picture("overview");
});

test("a block arrives while one looks, and is told whole", async () => {
  await page.getByRole("link", { name: "Events", exact: true }).click();
  await expect(page.getByTestId("live")).toHaveText("Live");
  await stage("block");
  const row = page.getByRole("row").filter({ hasText: "/tmp/<img src=x onerror=alert(1)>" }).first();
  await expect(row).toBeVisible();
  await expect(row).toContainText("Blocked");
  await row.click();
  const story = page.getByRole("complementary", { name: "The event's story" });
  await expect(story.getByText("Put into the running container from outside")).toBeVisible();
  // What attackers chose is text, and what hides is visible.
  await expect(story.getByText("<script>alert(document.cookie)</script>").first()).toBeVisible();
  await expect(story.getByText("\\u{202e}").first()).toBeVisible();
  await expect(page).toHaveURL(/event=/);
  await accessible();
  await picture("events");
});

test("paused, nothing moves", async () => {
  await page.keyboard.press("Escape");
  await expect(page.getByRole("complementary", { name: "The event's story" })).toHaveCount(0);
  await page.getByRole("button", { name: "Pause" }).click();
  const first = await page.getByRole("row").nth(1).textContent();
  await stage("block");
  await stage("block");
  await expect(page.getByRole("button", { name: "2 new" })).toBeVisible();
  expect(await page.getByRole("row").nth(1).textContent()).toBe(first);
  await page.getByRole("button", { name: "2 new" }).click();
  await expect(page.getByTestId("live")).toHaveText("Live");
});

test("a filter is in the address, and survives it", async () => {
  await page.getByLabel("Search events").fill("policy:DisallowEtcAccessForNginx /etc/passwd");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/policies=DisallowEtcAccessForNginx/);
  const rows = page.getByRole("row").filter({ hasText: "File access to /etc/passwd" });
  await expect(rows.first()).toBeVisible();
  await page.reload();
  await expect(rows.first()).toBeVisible();
  await expect(page.getByRole("row").filter({ hasText: "fileless" })).toHaveCount(0);
});

test("events can be walked with the keyboard alone", async () => {
  await page.goto("/events");
  await page.getByRole("row").nth(1).focus();
  await page.keyboard.press("ArrowDown");
  await expect(page.getByRole("row").nth(2)).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("complementary", { name: "The event's story" })).toBeVisible();
  await page.keyboard.press("Escape");
});

const POLICY = `apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata:
  name: web-tools
spec:
  namespaceSelector:
    matchNames: [default]
  mode: Enforce
  rules:
  - name: no-curl
    severity: High
    acton: Block
    process: { names: [curl] }
`;

test("a policy with a mistake is not saved until it is mended", async () => {
  await page.goto("/policies/new");
  await write(POLICY);
  await expect(page.getByTestId("verdict")).toContainText("acton");
  await expect(page.getByTestId("verdict")).toContainText("Line 12");
  await expect(page.locator(".cm-lint-marker-error").first()).toBeVisible();
  await expect(page.getByRole("button", { name: "Create" })).toBeDisabled();
  await accessible();
  await write(POLICY.replace("acton", "action"));
  await expect(page.getByTestId("verdict")).toHaveText("The policy is valid.");
});

test("the form and the text are two views of one policy", async () => {
  await page.getByRole("textbox", { name: "Rule" }).fill("no-downloads");
  await expect(page.getByTestId("editor")).toContainText("name: no-downloads");
  await page.getByRole("button", { name: "Add rule" }).click();
  await expect(page.getByTestId("editor")).toContainText("rule-2");
  await page.getByRole("button", { name: "Remove the rule rule-2" }).click();
  await expect(page.getByTestId("editor")).not.toContainText("rule-2");
});

test("what-if says what it would deny, before it is saved", async () => {
  await page.getByText("What if?").click();
  await page.getByRole("button", { name: "Replay" }).click();
  const result = page.getByTestId("what-if");
  await expect(result).toContainText("newly denied");
  await expect(result).toContainText("/usr/bin/curl");
  await accessible();
  await picture("what-if");
  await page.getByRole("button", { name: "Create" }).click();
  await expect(page.getByRole("heading", { name: "web-tools" })).toBeVisible();
});

test("a change is compared and rolled back", async () => {
  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByLabel("Why this change").fill("wget too");
  await write(POLICY.replace("acton", "action").replace("[curl]", "[curl, wget]"));
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText(/^Revision 2,/)).toBeVisible();
  await page.getByRole("tab", { name: "History" }).click();
  await expect(page.getByTestId("revision-2")).toContainText("wget too");
  await expect(page.getByLabel("Difference")).toContainText("wget");
  await accessible();
  await page.getByTestId("revision-1").getByRole("button", { name: "Roll back" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await expect(page.getByTestId("revision-3")).toContainText("Rolled back");
  await page.getByRole("tab", { name: "Document" }).click();
  await expect(page.getByRole("tabpanel")).toContainText("[curl]");
});

test("two who edit at once do not overwrite each other", async ({ browser }) => {
  const context = await browser.newContext({ storageState: await page.context().storageState() });
  const other = await context.newPage();
  await other.goto("/policies/web-tools/edit");
  await expect(other.getByTestId("verdict")).toHaveText("The policy is valid.");
  await page.goto("/policies/web-tools/edit");
  await write(POLICY.replace("acton", "action").replace("High", "Low"));
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText(/^Revision 4,/)).toBeVisible();
  await other.getByTestId("editor").getByRole("textbox").click();
  await other.keyboard.press("ControlOrMeta+End");
  await other.keyboard.insertText("# mine\n");
  await other.getByRole("button", { name: "Save" }).click();
  await expect(other.getByRole("alert")).toContainText("open the policy again");
  await context.close();
});

test("an exception is made out of an event", async () => {
  await page.goto("/events?policies=DisallowEtcAccessForNginx");
  await page.getByRole("row").nth(1).click();
  await page.getByRole("button", { name: "Add exception" }).click();
  await page.getByRole("menuitem", { name: /Let .* do this/ }).click();
  await expect(page).toHaveURL(/\/policies\/DisallowEtcAccessForNginx\/edit/);
  await expect(page.getByTestId("editor")).toContainText("/usr/sbin/nginx, /usr/bin/cat");
  await expect(page.getByTestId("verdict")).toHaveText("The policy is valid.");
  await page.getByText("Form", { exact: true }).click();
  await picture("policy");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText(/^Revision 2,/)).toBeVisible();
});

test("policies, workloads and enforcers, with what stands behind each", async () => {
  await page.goto("/policies");
  await expect(page.getByRole("row").filter({ hasText: "DisallowEtcAccessForNginx" })).toContainText("/ 3");
  await accessible();
  await picture("policies");
  await page.goto("/policies/templates");
  await expect(page.getByRole("button", { name: /Use the template/ }).or(page.getByRole("link", { name: /Use the template/ })).first()).toBeVisible();
  await accessible();
  await page.goto("/workloads");
  await page.getByRole("link", { name: "web", exact: true }).click();
  await expect(page.getByText("In the order in which they decide")).toBeVisible();
  await accessible();
  await picture("workload");
  await page.getByRole("tab", { name: /Activity/ }).click();
  await expect(page.getByRole("table", { name: "Activity" })).toContainText("/usr/bin/curl");
  await page.goto("/enforcers");
  await expect(page.getByRole("row").filter({ hasText: "node-2" })).toBeVisible();
  await accessible();
  await picture("enforcers");
});

test("policies of the nodes' own folders stand beside the console's, to be read", async () => {
  await page.goto("/policies");
  const row = page.getByRole("row").filter({ hasText: "no-dangerous-syscalls" });
  await expect(row).toContainText("on nodes, 2 kinds");
  // With the keyboard alone.
  await row.focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/policies\/nodes\/RuntimePolicy\/no-dangerous-syscalls$/);
  await expect(page.getByText("The nodes have 2 different policies of this name")).toBeVisible();
  await expect(page.getByRole("row").filter({ hasText: "node-3" })).toContainText("/etc/moat/policies/no-dangerous-syscalls.yaml");
  await expect(page.getByText("mode: Audit")).toBeVisible();
  await expect(page.getByRole("link", { name: "Edit" })).toHaveCount(0);
  await accessible();
  // Who follows an old link by name finds it, too.
  await page.goto("/policies/no-egress");
  await expect(page).toHaveURL(/\/policies\/nodes\/RuntimePolicy\/no-egress$/);
  await expect(page.getByRole("row").filter({ hasText: "node-2" })).toContainText("Enforced");
  await picture("node-policy");
  await page.goto("/policies/no-such-policy");
  await expect(page.getByRole("alert")).toContainText("no-such-policy");
  // And a workload's rules name them.
  await page.goto("/workloads/default/Deployment/web");
  await expect(page.getByText("from the node’s folder").first()).toBeVisible();
  await expect(page.getByText("The own folders of node-3 have other policies").or(page.getByText("The own folders of node-1, node-2 have other policies"))).toBeVisible();
  await page.getByRole("link", { name: "no-egress", exact: true }).first().click();
  await expect(page).toHaveURL(/\/policies\/nodes\/RuntimePolicy\/no-egress$/);
});

const SIGNING_KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
let hook: Receiver;

test("a notifier is made with the keyboard alone, and tested", async () => {
  hook = await receiver();
  await page.goto("/notifiers");
  await page.getByRole("link", { name: "New notifier" }).first().focus();
  await page.keyboard.press("Enter");
  await expect(page.getByText("Where shall events go?")).toBeVisible();
  await accessible();
  await page.getByRole("button", { name: /^Webhook/ }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("textbox", { name: /^Name/ })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByText("It needs a name")).toBeVisible();
  await accessible();
  await page.keyboard.type("on-call");
  await page.keyboard.press("Tab");
  await page.keyboard.type(hook.url);
  await page.keyboard.press("Tab");
  await page.keyboard.type(SIGNING_KEY);
  await page.getByLabel("Pods with these labels").focus();
  await page.keyboard.type("app in (");
  await expect(page.getByText("No label selector: app in (")).toBeVisible();
  await page.keyboard.type("nginx)");
  await expect(page.getByText("No label selector")).toHaveCount(0);
  await picture("notifier-form");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "on-call" })).toBeVisible();
  await expect(page.getByText("Everything arrived so far")).toBeVisible();

  await page.getByRole("button", { name: "Send a test" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert").filter({ hasText: "The test arrived" })).toContainText("200 OK: thanks");
  expect(hook.taken.at(-1)).toContain("This is a test of the notifier on-call");
  await accessible();
  hook.refuses = "This is a test";
  await page.getByRole("button", { name: "Send a test" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "did not arrive" })).toContainText("no angle brackets here");
});

test("what a receiver refuses is a dead letter, to be sent again or discarded", async () => {
  await page.getByRole("alert").filter({ hasText: "did not arrive" }).getByRole("button", { name: "Close" }).click();
  hook.refuses = "<img";
  await stage("burst");
  const letters = page.getByRole("table", { name: "Dead letters" });
  await expect(letters.getByRole("row").nth(1)).toContainText("no angle brackets here", { timeout: 60_000 });
  await expect(page.getByText(/^7 events/)).toBeVisible();
  await accessible();
  await picture("notifier");
  // Refused again, it is there again; what is discarded is not.
  hook.refuses = null;
  await letters.getByRole("button", { name: "Retry" }).click();
  await expect(page.getByText("Everything arrived so far")).toBeVisible({ timeout: 30_000 });
  await expect.poll(() => hook.taken.some((text) => text.includes("<img"))).toBe(true);
  hook.refuses = "<img";
  await stage("burst");
  await expect(letters.getByRole("row").nth(1)).toBeVisible({ timeout: 60_000 });
  await page.getByRole("button", { name: "Discard all" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Discard all" }).click();
  await expect(page.getByText("Everything arrived so far")).toBeVisible();
  await page.goto("/notifiers");
  await expect(page.getByRole("row").filter({ hasText: "on-call" })).toContainText("Working");
  await accessible();
  await picture("notifiers");
});

test("a notifier's secrets are never shown, and belong to an address", async () => {
  await page.getByRole("link", { name: "on-call" }).click();
  await page.getByRole("link", { name: "Edit" }).click();
  await expect(page.getByText("kept sealed, never shown again")).toBeVisible();
  expect(await page.content()).not.toContain(SIGNING_KEY);
  await page.getByLabel("Address").fill(`${hook.url}/elsewhere`);
  await expect(page.getByText("enter them again")).toBeVisible();
  await page.getByLabel("Address").fill(hook.url);
  await expect(page.getByText("kept sealed, never shown again")).toBeVisible();
  await accessible();
});

test("two who change a notifier at once do not overwrite each other", async ({ browser }) => {
  const context = await browser.newContext({ storageState: await page.context().storageState() });
  const other = await context.newPage();
  await other.goto(page.url());
  await expect(other.getByRole("textbox", { name: /^Name/ })).toHaveValue("on-call");
  await page.getByRole("textbox", { name: /^Name/ }).fill("night-shift");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { name: "night-shift" })).toBeVisible();
  await other.getByRole("textbox", { name: /^Name/ }).fill("day-shift");
  await other.getByRole("button", { name: "Save" }).click();
  await expect(other.getByRole("alert")).toBeVisible();
  await other.getByRole("button", { name: "Show what is there now" }).click();
  await expect(other.getByRole("textbox", { name: /^Name/ })).toHaveValue("night-shift");
  await context.close();
});

test("a token to enrol by is shown once", async () => {
  await page.goto("/enforcers");
  await page.getByRole("button", { name: "Enrol nodes" }).click();
  await page.getByLabel("Label").fill("rack 4");
  await page.getByRole("button", { name: "Make a token" }).click();
  await expect(page.getByTestId("secret")).toHaveText(/^moat-enrol-v1\./);
  const secret = await page.getByTestId("secret").textContent();
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("tab", { name: "Enrolment tokens" }).click();
  await expect(page.getByRole("row").filter({ hasText: "rack 4" })).toContainText("usable");
  expect(await page.content()).not.toContain(secret);
});

test("an auditor sees everything and changes nothing", async ({ browser }) => {
  await page.goto("/settings/users");
  await page.getByRole("button", { name: "Add a user" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("audra");
  await dialog.getByLabel(PASSWORD_FIELD).fill(PASSWORD);
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await expect(page.getByRole("row").filter({ hasText: "audra" })).toContainText("active");
  await accessible();

  const context = await browser.newContext();
  const auditor = await context.newPage();
  listen(auditor);
  await auditor.goto("/policies");
  await signIn(auditor, "audra", PASSWORD);
  await expect(auditor.getByRole("row").filter({ hasText: "DisallowEtcAccessForNginx" })).toBeVisible();
  await expect(auditor.getByRole("link", { name: "New policy" })).toHaveCount(0);
  await expect(auditor.getByRole("link", { name: "Settings" })).toHaveCount(0);
  await auditor.goto("/policies/DisallowEtcAccessForNginx");
  await expect(auditor.getByRole("link", { name: "Events" }).first()).toBeVisible();
  await expect(auditor.getByRole("link", { name: "Edit" })).toHaveCount(0);
  await auditor.goto("/notifiers");
  await auditor.getByRole("link", { name: "night-shift" }).click();
  await expect(auditor.getByText("Everything arrived so far")).toBeVisible();
  for (const change of ["Send a test", "Pause", "Delete", "Edit"]) {
    await expect(auditor.getByRole("button", { name: change }).or(auditor.getByRole("link", { name: change }))).toHaveCount(0);
  }
  await auditor.goto("/notifiers/new");
  await expect(auditor.getByText("For operators")).toBeVisible();
  await auditor.goto("/settings/users");
  await expect(auditor.getByText("For administrators")).toBeVisible();
  // Who goes past the buttons is refused by the console.
  await auditor.goto("/policies/DisallowEtcAccessForNginx/edit");
  await expect(auditor.getByTestId("verdict")).toHaveText("The policy is valid.");
  await auditor.getByTestId("editor").getByRole("textbox").click();
  await auditor.keyboard.press("ControlOrMeta+Home");
  await auditor.keyboard.insertText("# mine\n");
  await auditor.getByRole("button", { name: "Save" }).click();
  await expect(auditor.getByRole("alert")).toContainText("Not allowed");
  await context.close();
});

test("a notifier is deleted after a question", async () => {
  await page.goto("/notifiers");
  await page.getByRole("link", { name: "night-shift" }).click();
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByText("Paused")).toBeVisible();
  await page.getByRole("button", { name: "Delete" }).click();
  await accessible();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("Events stay here so far")).toBeVisible();
  hook.close();
});

test("the audit log has it all, and its chain holds", async () => {
  await page.getByRole("link", { name: "Audit log" }).click();
  await expect(page.getByRole("row").filter({ hasText: "web-tools" }).first()).toBeVisible();
  await page.getByRole("button", { name: "Verify the chain" }).click();
  await expect(page.getByRole("main").getByRole("alert")).toContainText("as they were written");
  await accessible();
});

test("settings are kept", async () => {
  await page.goto("/settings/retention");
  await page.getByLabel("Days: All others").fill("45");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("How long events are kept: saved.")).toBeVisible();
  await page.reload();
  await expect(page.getByLabel("Days: All others")).toHaveValue("45");
  for (const tab of ["API tokens", "General"]) {
    await page.getByRole("tab", { name: tab }).click();
    await expect(page.getByRole("tabpanel")).toBeVisible();
    await accessible();
  }
});

test("people sign in by a provider on another site, and are told when it does not work", async ({ browser }) => {
  await page.goto("/settings/sign-on");
  await expect(page.getByText("/api/v1/session/oidc/callback")).toBeVisible();
  await page.getByRole("textbox", { name: "Name" }).fill("Test");
  await page.getByRole("textbox", { name: "Issuer" }).fill(`${process.env["MOAT_UI_ISSUER"]}/`);
  await page.getByRole("textbox", { name: "Client ID" }).fill(process.env["MOAT_UI_CLIENT_ID"] ?? "");
  await page.getByLabel("Client secret").fill(process.env["MOAT_UI_CLIENT_SECRET"] ?? "");
  for (const scope of ["profile", "groups"]) {
    await page.getByRole("combobox", { name: "Scopes" }).fill(scope);
    await page.keyboard.press("Enter");
  }
  await page.getByRole("textbox", { name: "Claim of the role" }).fill("groups");
  await page.getByLabel("Another value of the claim").fill("ops");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("button", { name: "Ask the provider" }).click();
  await expect(page.getByRole("alert")).toContainText("unexpected issuer");
  await page.getByRole("textbox", { name: "Issuer" }).fill(process.env["MOAT_UI_ISSUER"] ?? "");
  await page.getByRole("button", { name: "Ask the provider" }).click();
  await expect(page.getByRole("status")).toContainText("The provider answers");
  await page.getByRole("switch", { name: "People sign in by this provider" }).click();
  await accessible();
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Single sign-on by OpenID Connect: saved.")).toBeVisible();

  const context = await browser.newContext();
  const ann = await context.newPage();
  listen(ann);
  await ann.goto("/events?types=Drift");
  await ann.getByRole("link", { name: "Sign in with Test" }).click();
  await ann.getByRole("link", { name: "Go on as ann" }).click();
  await expect(ann).toHaveURL(/\/events\?types=Drift$/);
  await expect(ann.getByRole("button", { name: "Account of ann" })).toBeVisible();
  const cookies = await context.cookies();
  expect(cookies.map(({ name, sameSite, httpOnly }) => `${name} ${sameSite} ${httpOnly}`)).toEqual(["moat_session Strict true"]);

  // Whoever the console does not know any more begins again.
  await context.clearCookies();
  await ann.goto("/policies");
  await ann.getByRole("link", { name: "Sign in with Test" }).click();
  await context.clearCookies();
  await ann.getByRole("link", { name: "Go on as ann" }).click();
  await expect(ann.getByRole("alert")).toContainText("Begin again");
  await expect(ann).toHaveURL(/\/$/);
  await accessible(ann);
  await context.close();
});

test("dark is as readable as light", async () => {
  await page.goto("/overview");
  await page.getByRole("button", { name: "Dark colours" }).click();
  for (const address of ["/overview", "/events", "/policies/DisallowEtcAccessForNginx", "/policies/nodes/RuntimePolicy/no-egress", "/workloads",
    "/workloads/default/Deployment/web", "/enforcers", "/notifiers", "/notifiers/new"]) {
    await page.goto(address);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await page.waitForLoadState("load");
    await expect(page.getByRole("status", { name: /^Loading/ })).toHaveCount(0);
    await accessible();
  }
  await page.goto("/overview");
  await expect(page.getByRole("img", { name: /events over time/ })).toBeVisible();
  await picture("dark");
});

test("a wide screen is used", async () => {
  await page.setViewportSize({ width: 2560, height: 1300 });
  await page.goto("/events");
  await expect(page.getByRole("columnheader", { name: "Policy" })).toBeVisible();
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(await overflow()).toBeLessThanOrEqual(0);
  await page.setViewportSize({ width: 1280, height: 800 });
  for (const address of ["/overview", "/events", "/policies", "/policies/web-tools", "/policies/templates", "/policies/nodes/RuntimePolicy/no-egress", "/workloads", "/enforcers",
    "/notifiers", "/notifiers/new", "/audit", "/settings/users"]) {
    await page.goto(address);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    expect(await overflow(), address).toBeLessThanOrEqual(0);
    await expect(page.getByRole("status", { name: /^Loading/ })).toHaveCount(0);
    expect(await page.locator(".table").evaluateAll((all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.ariaLabel)), address).toEqual([]);
  }
});

test("a hundred thousand events are a list like any other", async () => {
  test.setTimeout(600_000);
  await stage("flood 100000");
  await page.goto("/events?policies=flood");
  await expect(page.getByRole("row").nth(1)).toBeVisible();
  const count = page.getByTestId("event-count");
  await page.getByRole("row").nth(1).focus();
  await expect.poll(async () => {
    await page.keyboard.press("End");
    return await count.textContent();
  }, { timeout: 540_000, intervals: [50] }).toMatch(/^100\.0 k/);
  // Only what is seen is drawn.
  expect(await page.getByRole("row").count()).toBeLessThan(80);
  await expect(page.getByRole("row").last()).toContainText("event 0 ");
});
