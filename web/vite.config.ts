import { readFileSync } from "node:fs";
import { basename } from "node:path";

import { svelte } from "@sveltejs/vite-plugin-svelte";
import tailwindcss from "@tailwindcss/vite";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Where `npm run dev` finds the API of a system started with `pulseboard up`. */
const API = process.env.PULSEBOARD_API ?? "http://127.0.0.1:8080";

/**
 * A classic script in the head, which runs before the first paint; Vite bundles modules only.
 * It is a hashed file of its own, since the page's policy allows no inline script.
 */
function firstScript(source: string): Plugin {
  const name = basename(source);
  return {
    name: "first-script",
    buildStart() {
      if (this.environment.mode !== "build") return;
      this.emitFile({ type: "asset", name, source: readFileSync(source, "utf8") });
    },
    transformIndexHtml: {
      order: "post",
      handler: (_html, { bundle }) => {
        const built = Object.values(bundle ?? {}).find(
          (file) => file.type === "asset" && file.names.includes(name),
        );
        const src = `/${built?.fileName ?? source}`;
        return [{ tag: "script", attrs: { src }, injectTo: "head" }];
      },
    },
  };
}

export default defineConfig({
  plugins: [tailwindcss(), svelte(), firstScript("src/theme-first.js")],
  build: {
    outDir: "../core/http/static",
    emptyOutDir: true,
    target: "es2022",
    // The polyfill is an inline script and inlined assets are data: fonts; the page's policy allows neither.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    license: { fileName: "licenses/javascript.txt" },
  },
  server: { proxy: { "/api": { target: API, xfwd: true }, "/metrics.json": { target: API, xfwd: true } } },
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts", "src/**/*.test.svelte.ts"],
    restoreMocks: true,
  },
});
