/**
 * What is imported for the URL that `new Worker` was given, and whether its maker may load it.
 *
 * As in Deno the root module, and what it imports statically, is judged by the maker's permissions;
 * what is imported later by the worker's own.
 *
 * @module
 */

import { resolveObjectURL } from "node:buffer";
import { fileURLToPath } from "node:url";
import {
  type PermissionSet,
  permissionNames,
  permits,
  requirePermission,
} from "../../../machines/permissions.ts";
import { onlyReadable } from "../permissions/static-graph.ts";

/** A module from the network that is larger is refused. */
const maxRemoteBytes = 16 * 1_048_576;
const fetchTimeoutMs = 30_000;

/**
 * What to import for `url`, where it is not `url` itself or has to be checked first; rejects with
 * the reason why it cannot be loaded. A blob is taken at once, since its URL may be revoked right
 * after the constructor has returned.
 */
export function rootOf(url: string, maker: PermissionSet): Promise<string> | undefined {
  const { protocol } = new URL(url);
  if (protocol === "blob:") {
    const blob = resolveObjectURL(url);
    const text = blob === undefined ? Promise.reject(notFound(url)) : blob.text();
    return text.then((code) => rootOfText(code, blob?.type ?? "", maker));
  }
  if (protocol === "http:" || protocol === "https:") {
    return fetchModule(url, maker).then((code) => rootOfText(code, "", maker));
  }
  const checks = !isUnrestricted(maker);
  if (protocol === "data:" && (checks || isTypeScript(url))) {
    return fetch(url)
      .then(async (response) => ({ code: await response.text(), type: mimeOf(url) }))
      .then(({ code, type }) => rootOfText(code, type, maker));
  }
  if (protocol === "file:" && (checks || isTypeScript(url))) return rootOfFile(url, maker);
  return undefined;
}

/** The text of a blob as a `data:` URL, for another thread, which does not know the blob. */
export function blobAsData(url: string): Promise<string> | undefined {
  if (new URL(url).protocol !== "blob:") return undefined;
  const blob = resolveObjectURL(url);
  const text = blob === undefined ? Promise.reject(notFound(url)) : blob.text();
  const type = blob?.type === "" ? undefined : blob?.type;
  return text.then((code) => `data:${type ?? "text/javascript"},${encodeURIComponent(code)}`);
}

async function rootOfFile(url: string, maker: PermissionSet): Promise<string> {
  requirePermission(maker, "read", fileURLToPath(url));
  return isTypeScript(url) ? bundled(url, maker) : url;
}

/** @throws {NotCapable} When it imports statically what the maker may not load. */
async function rootOfText(code: string, type: string, maker: PermissionSet): Promise<string> {
  if (!isUnrestricted(maker)) await checkImports(code, maker);
  const script = type.includes("typescript") ? await strip(code) : code;
  return `data:text/javascript,${encodeURIComponent(script)}`;
}

async function fetchModule(url: string, maker: PermissionSet): Promise<string> {
  requirePermission(maker, "import", hostOf(url));
  const response = await fetch(url, { signal: AbortSignal.timeout(fetchTimeoutMs) });
  // After redirects.
  requirePermission(maker, "import", hostOf(response.url));
  if (!response.ok) throw notFound(url);
  const bytes = await response.arrayBuffer();
  if (bytes.byteLength > maxRemoteBytes) {
    throw new RangeError(`Cannot load "${url}": it has more than ${maxRemoteBytes} bytes`);
  }
  return new TextDecoder().decode(bytes);
}

/** As the import of a worker's own would say, for what is imported from the network or from disk. */
async function checkImports(code: string, maker: PermissionSet): Promise<void> {
  for (const specifier of await staticImports(code)) {
    if (/^https?:/.test(specifier)) requirePermission(maker, "import", hostOf(specifier));
    if (specifier.startsWith("file:")) requirePermission(maker, "read", fileURLToPath(specifier));
  }
}

/** Specifiers of a text's static imports; none where it does not parse, which its import then tells. */
async function staticImports(code: string): Promise<readonly string[]> {
  // Only restricted makers and TypeScript need it, and it is slow to load.
  const { build } = await import("esbuild");
  try {
    const { metafile } = await build({
      stdin: { contents: code, loader: "ts" },
      bundle: true,
      metafile: true,
      write: false,
      format: "esm",
      logLevel: "silent",
      external: ["*"],
    });
    const imports = Object.values(metafile.inputs).flatMap((input) => input.imports);
    return imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => path);
  } catch {
    return [];
  }
}

async function strip(code: string): Promise<string> {
  const { transform } = await import("esbuild");
  return (await transform(code, { loader: "ts", format: "esm", target: "node20" })).code;
}

/** One module of a TypeScript root and all that it imports, where Node cannot strip types itself. */
async function bundled(url: string, maker: PermissionSet): Promise<string> {
  if (Reflect.get(process.features, "typescript")) return url;
  const { build } = await import("esbuild");
  const plugins = isUnrestricted(maker)
    ? []
    : [onlyReadable((path) => permits(maker, "read", path))];
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(url)],
    bundle: true,
    write: false,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "silent",
    plugins,
    define: { "import.meta.url": JSON.stringify(url) },
  });
  return `data:text/javascript,${encodeURIComponent(outputFiles[0]?.text ?? "")}`;
}

function isTypeScript(url: string): boolean {
  const { protocol, pathname } = new URL(url);
  return protocol === "data:" ? mimeOf(url).includes("typescript") : /\.m?tsx?$/.test(pathname);
}

function mimeOf(dataUrl: string): string {
  return /^data:([^;,]*)/.exec(dataUrl)?.[1] ?? "";
}

/** Deno names the port always. */
export function hostOf(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;
}

function isUnrestricted(set: PermissionSet): boolean {
  return permissionNames.every((name) => {
    const { granted, denied } = set[name];
    return granted === "all" && denied.length === 0;
  });
}

function notFound(url: string): Error {
  const error = new Error(`Module not found "${url}".`);
  return Object.assign(error, { code: "ERR_MODULE_NOT_FOUND", url });
}
