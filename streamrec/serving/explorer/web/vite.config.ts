import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

/** What the built page is made of; tests/serving/test_explorer_page.py names the same files. */
function sources(): string[] {
  const own = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];
  return [...own, ...readdirSync("src").map((name) => `src/${name}`)].sort();
}

/** Leaves the sources' hash beside what was built of them, so that neither can change alone unseen. */
function signed(): Plugin {
  return {
    name: "signed",
    generateBundle() {
      const hash = createHash("sha256");
      for (const name of sources()) hash.update(`${name}\n`).update(readFileSync(name));
      this.emitFile({ type: "asset", fileName: "sources.sha256", source: `${hash.digest("hex")}\n` });
    },
  };
}

export default defineConfig({
  // Relative addresses: the page also works below a proxy's path.
  base: "./",
  plugins: [signed()],
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    // Nothing inline: the page's content security policy allows files of its own alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8080" } },
});
