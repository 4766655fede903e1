/**
 * Makes JavaScript of a user's module, so that a thread can import it on every Node version.
 * Local files are bundled into one; packages stay where they are and are imported by their address,
 * since the result lies in a cache folder from where their names would not resolve.
 * Types are not checked: that is the business of the user's editor.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { basename, dirname, extname, join, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { BuildFailure, Loader, Plugin, PluginBuild } from "esbuild";
import { compiledUrl } from "../worker/thread-url.ts";
import { ifThere, shownPath } from "./module-files.ts";

const ownName = "spectra-orchestrator";
/** What our own package brings along: a folder without `node_modules` may use it too. */
const broughtAlong: ReadonlySet<string> = new Set(["zod"]);
const ownFolder = fileURLToPath(new URL(".", import.meta.url));
/** Of the checkout or the installed package: `dist/node_modules` has no parts of packages. */
const packageFolder = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../" : "../../../", import.meta.url),
);

/** A module that cannot be used; the message begins with `file:line:column: `. */
export class ModuleError extends Error {
  override readonly name = "ModuleError";
}

export interface CompiledModule {
  /** Of the compiled file; another content has another URL. */
  readonly url: string;
  /** Local files that went into it, absolute. */
  readonly inputs: readonly string[];
}

/**
 * @param inputs Gets every local file that was read, also when compiling fails.
 * @throws {ModuleError} For what the user can mend.
 */
export async function compileModule(
  file: string,
  cacheDir: string,
  inputs: Set<string>,
): Promise<CompiledModule> {
  // Loaded late: a node without such folders needs no compiler.
  const { build } = await import("esbuild");
  const folder = dirname(file);
  let code: string;
  try {
    const result = await build({
      entryPoints: [file],
      outfile: join(cacheDir, "module.mjs"),
      absWorkingDir: folder,
      bundle: true,
      write: false,
      format: "esm",
      platform: "node",
      target: "node20",
      // Without the extra condition "module", which Node does not know.
      conditions: [],
      keepNames: true,
      // Inline, so that whoever may read the module may read its map.
      sourcemap: "inline",
      sourcesContent: false,
      legalComments: "none",
      logLevel: "silent",
      plugins: [packagesByAddress(), localFiles(inputs)],
    });
    code = result.outputFiles[0]?.text ?? "";
  } catch (error) {
    throw compileError(file, folder, error);
  }
  const hash = createHash("sha256").update(code).digest("hex").slice(0, 16);
  const path = join(cacheDir, `${basename(file, extname(file))}-${hash}.mjs`);
  await store(path, code);
  return { url: pathToFileURL(path).href, inputs: [...inputs] };
}

/** Appears whole or not at all: a thread may import it while another node writes it. */
async function store(path: string, code: string): Promise<void> {
  const known = await ifThere(readFile(path, "utf8"));
  if (known === code) return;
  await mkdir(dirname(path), { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, code);
  await rename(unfinished, path);
}

function packagesByAddress(): Plugin {
  return {
    name: "packages-by-address",
    setup: (build) => {
      build.onResolve({ filter: /^[^./#]/ }, async ({ path, kind, resolveDir, pluginData }) => {
        if (kind === "entry-point" || pluginData === ownName || isBuiltin(path)) return undefined;
        if (path.startsWith("file:")) return { path, external: true };
        const own = ownAddress(path);
        if (own !== undefined) return own;
        const found = await build.resolve(path, { kind, resolveDir, pluginData: ownName });
        if (found.errors.length === 0) return addressOf(found.path, found.external);
        const [name = ""] = path.split("/");
        if (broughtAlong.has(name)) {
          const ours = await build.resolve(path, {
            kind,
            resolveDir: path === name ? ownFolder : packageFolder,
            pluginData: ownName,
          });
          if (ours.errors.length === 0) return addressOf(ours.path, ours.external);
        }
        const text = `Cannot find the package "${path}" from ${shownPath(resolveDir)}; install it there`;
        return { errors: [{ text }] };
      });
    },
  };
}

/** This very package, wherever the folder lies and whatever is installed there. */
function ownAddress(path: string) {
  if (path === ownName) {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const url = compiledUrl(new URL(`../index.${extension}`, import.meta.url));
    return { path: importable(fileURLToPath(url)), external: true };
  }
  if (!path.startsWith(`${ownName}/`)) return undefined;
  return { errors: [{ text: `"${path}" is no entry of the package; import from "${ownName}"` }] };
}

/** A package is imported by Node itself; a workspace's own sources are bundled like local files. */
function addressOf(path: string, external: boolean) {
  if (external) return { path, external };
  if (!path.includes(`${sep}node_modules${sep}`)) return { path };
  return { path: importable(path), external: true };
}

/** A path where it can stand in an import as it is, which other tools read better than a URL. */
function importable(path: string): string {
  return /^\/[^%?#]+$/.test(path) ? path : pathToFileURL(path).href;
}

const loaders: Readonly<Record<string, Loader>> = {
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
  ".js": "js",
  ".mjs": "js",
  ".cjs": "js",
  ".jsx": "jsx",
  ".json": "json",
};

/** Notes what is read, and lets `import.meta` name the file as it was written, not the bundle. */
function localFiles(inputs: Set<string>): Plugin {
  return {
    name: "local-files",
    setup: (build: PluginBuild) => {
      build.onLoad({ filter: /\.(?:[cm]?[jt]s|[jt]sx|json)$/ }, async ({ path }) => {
        inputs.add(path);
        const text = await readFile(path, "utf8");
        const own: Readonly<Record<string, string>> = {
          url: pathToFileURL(path).href,
          filename: path,
          dirname: dirname(path),
        };
        const contents = text.replaceAll(
          /\bimport\.meta\.(url|filename|dirname)\b/g,
          (_, name: string) => JSON.stringify(own[name]),
        );
        return { contents, loader: loaders[extname(path)] ?? "js", resolveDir: dirname(path) };
      });
    },
  };
}

function compileError(file: string, folder: string, error: unknown): ModuleError {
  const [first, ...others] = (error as Partial<BuildFailure>).errors ?? [];
  if (first === undefined) {
    const why = error instanceof Error ? error.message : String(error);
    return new ModuleError(`${shownPath(file)}: ${why}`, { cause: error });
  }
  const { location, text } = first;
  const place =
    location === null
      ? shownPath(file)
      : `${shownPath(join(folder, location.file))}:${location.line}:${location.column + 1}`;
  const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
  return new ModuleError(`${place}: ${text}${more}`, { cause: error });
}
