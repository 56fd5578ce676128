// Started by `crates/moat-console/tests/dashboard.rs`, which has a console running and says where.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: ".",
  // One browser, one story: each test goes on where the one before ended.
  workers: 1,
  fullyParallel: false,
  maxFailures: 1,
  timeout: 90_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  outputDir: process.env["MOAT_UI_OUTPUT"],
  use: {
    actionTimeout: 20_000,
    baseURL: process.env["MOAT_UI_URL"],
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    colorScheme: "light",
    // Colours halfway through a transition are nobody's colours; and who asks for less motion gets it.
    reducedMotion: "reduce",
    screenshot: "only-on-failure",
    trace: "off",
    launchOptions: {
      executablePath: process.env["MOAT_UI_CHROMIUM"],
      // As root, Chromium's own sandbox does not start; the pages are our own.
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    },
  },
});
