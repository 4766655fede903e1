/**
 * Serves the built dashboard: the page at `/`, its files below `/assets/`.
 * The list of files is read once per process, so no path of a request ever reaches the disk.
 *
 * @module
 */

import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Context, Hono } from "hono";
import { ProblemError } from "../problem.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".map": "application/json",
  ".json": "application/json",
};

/** Names of built assets carry a content hash, so they never change. */
const FOREVER = "public, max-age=31536000, immutable";

/** Where `vite build` puts the page: beside the compiled routes, or under `dist` when run from source. */
export const DASHBOARD_FOLDER = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../../dist/http/dashboard/" : "../dashboard/",
    import.meta.url,
  ),
);

interface Site {
  readonly page: string;
  readonly assets: ReadonlyMap<string, { content: Uint8Array<ArrayBuffer>; type: string }>;
}

/** Reads the built page whole; undefined when there is none. */
export async function readSite(folder: string): Promise<Site | undefined> {
  const page = await readFile(join(folder, "index.html"), "utf8").catch((error: unknown) => {
    if ((error as { code?: unknown }).code === "ENOENT") return undefined;
    throw error;
  });
  if (page === undefined) return undefined;
  const assets = new Map<string, { content: Uint8Array<ArrayBuffer>; type: string }>();
  for (const name of await readdir(join(folder, "assets"))) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const content = new Uint8Array(await readFile(join(folder, "assets", name)));
    assets.set(name, { content, type });
  }
  return { page, assets };
}

const MISSING = `<!doctype html><html lang="en"><meta charset="utf-8"><title>SPECTRA: dashboard not built</title>
<h1>The dashboard is not built</h1><p>Run <code>npm run build</code> and reload this page. The API works: see <a href="/docs">/docs</a>.</p></html>`;

export function mountDashboard(app: Hono, folder: string = DASHBOARD_FOLDER): void {
  let site: Site | undefined;
  // A missing build is looked for again at each request, so that building it needs no restart.
  const load = async (): Promise<Site | undefined> => (site ??= await readSite(folder));

  app.get("/", async (context) => {
    const found = await load();
    const headers = { "content-type": "text/html; charset=utf-8", "cache-control": "no-cache" };
    return found === undefined
      ? context.body(MISSING, 503, headers)
      : context.body(found.page, 200, headers);
  });
  app.get("/assets/:name", async (context: Context) => {
    const asset = (await load())?.assets.get(context.req.param("name") ?? "");
    if (asset === undefined) {
      throw new ProblemError(
        "NOT_FOUND",
        "Cannot find this asset: reload the page, it was rebuilt",
      );
    }
    return context.body(asset.content, 200, {
      "content-type": asset.type,
      "cache-control": FOREVER,
    });
  });
}
