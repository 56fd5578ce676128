import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  build: {
    // Debian 12's browsers and newer.
    target: "es2022",
    // The editor is one piece of its own, loaded with the page that needs it.
    chunkSizeWarningLimit: 800,
    // Files inside the bundle would need `data:` in more places of the content security policy.
    assetsInlineLimit: 0,
  },
  server: {
    // `npm run dev` beside a console: `moat console --insecure-http --listen 127.0.0.1:8440 …`.
    proxy: { "/api": process.env["MOAT_CONSOLE"] ?? "http://127.0.0.1:8440" },
  },
  test: { include: ["src/**/*.test.ts"] },
});
