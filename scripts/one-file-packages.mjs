/**
 * Makes one file of each package that worker threads load: a node starts a thread per agent, and
 * each loads them again. zod alone is 96 files; as one, without the texts of its languages, it
 * takes half of the CPU.
 *
 * They lie in `dist/node_modules`, where Node finds them before the packages themselves, from all
 * compiled code alike: there is still one instance of each. Sources and types know nothing of it.
 *
 * `node scripts/one-file-packages.mjs`   as `build.mjs` and the tests' build call it
 *
 * @module
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "dist", "node_modules");
/** Names what the files were made of. */
const stamp = join(modules, ".made-of");
const names = ["zod", "xstate", "comlink", "ioredis", "postgres", "postal-mime"];

/** CommonJS within asks for Node's own modules. */
const banner = {
  js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
};
const common = { bundle: true, platform: "node", target: "node20", logLevel: "error" };

/** Does nothing where the packages are those of the last time. @throws What the bundler reports. */
async function makeOneFilePackages() {
  const source = sourceHash();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === source) return;
  // Loaded late: who builds nothing needs no bundler.
  const { build } = await import("esbuild");
  mkdirSync(modules, { recursive: true });
  for (const name of names) await makePackage(build, name);
  writeFileSync(stamp, source);
}

async function makePackage(build, name) {
  const folder = join(modules, name);
  const making = `${folder}.${process.pid}`;
  const original = await import(name);
  const exported = Object.keys(original).filter((key) => key !== "module.exports");
  await build({
    ...common,
    stdin: { contents: entryOf(name, exported), sourcefile: "entry.mjs", resolveDir: root },
    format: "esm",
    outfile: join(making, "index.js"),
    banner,
    legalComments: "inline",
    plugins: name === "zod" ? [lazyLanguages(join(making, "languages.cjs"), build)] : [],
  });
  const { version, license } = manifestOf(name);
  const manifest = { name, version, license, type: "module", exports: "./index.js" };
  writeFileSync(join(making, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  const made = Object.keys(await import(pathToFileURL(join(making, "index.js")).href));
  const missing = exported.filter((key) => !made.includes(key));
  if (missing.length > 0) throw new Error(`One file of ${name} lacks ${missing.join(", ")}`);
  rmSync(folder, { recursive: true, force: true });
  renameSync(making, folder);
}

/** Every name that Node sees in the package, whatever kind of module it is. */
function entryOf(name, exported) {
  const named = exported.filter((key) => key !== "default");
  const fallback = exported.includes("default") ? `export { default } from "${name}";\n` : "";
  return `${fallback}export { ${named.join(", ")} } from "${name}";\n`;
}

/** zod's texts for 50 languages are half of it; a node that asks for one loads them then. */
function lazyLanguages(outfile, build) {
  return {
    name: "lazy-languages",
    setup: (plugin) => {
      plugin.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, async ({ path }) => {
        await build({ ...common, entryPoints: [path], format: "cjs", outfile });
        const languages = [...readFileSync(path, "utf8").matchAll(/default as (\w+) \}/g)];
        const contents = languages
          .map(
            ([, id]) =>
              `export const ${id} = (...given) => require("./languages.cjs").${id}(...given);`,
          )
          .join("\n");
        // Resolved beside the one file, when it is called.
        return { contents };
      });
      plugin.onResolve({ filter: /^\.\/languages\.cjs$/ }, ({ path }) => ({
        path,
        external: true,
      }));
    },
  };
}

function manifestOf(name) {
  return JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8"));
}

function sourceHash() {
  const hash = createHash("sha256").update(readFileSync(fileURLToPath(import.meta.url)));
  for (const name of names) hash.update(`${name}@${manifestOf(name).version}\n`);
  return hash.digest("hex");
}

await makeOneFilePackages();
