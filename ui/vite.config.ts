import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The API is served by the same origin in production; in development it is the
// mock of dev/mock.mjs, or a real server named by DOCKREEVE_API.
const api = process.env.DOCKREEVE_API ?? "http://127.0.0.1:7301";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    // Everything is a file of this origin: a data: URL would need a wider
    // Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    host: "127.0.0.1",
    port: 7300,
    proxy: { "^/(dockreeve\\.v1\\.|login|logout)": api },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
