/**
 * The API described by itself: `/openapi.json`, and a reference page at `/docs` made from the same routes.
 *
 * @module
 */

import type { Hono } from "hono";
import { z } from "zod";
import { openApiDocument, openApiPath } from "../openapi.ts";
import type { Route } from "../route.ts";

export function mountReference(
  app: Hono,
  routes: readonly Route[],
  readVersion: () => Promise<string>,
): void {
  app.get("/openapi.json", async (context) =>
    context.json(openApiDocument(routes, await readVersion())),
  );
  app.get("/docs", (context) => context.html(referencePage(routes)));
  app.get("/docs/style.css", (context) =>
    context.body(STYLE, 200, { "content-type": "text/css; charset=utf-8" }),
  );
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** The page as HTML without scripts: what a reader needs, and the document for all else. */
export function referencePage(routes: readonly Route[]): string {
  const tags = [...new Set(routes.map((route) => route.tag))];
  const navigation = tags.map((tag) => `<a href="#${tag}">${tag}</a>`).join("");
  const sections = tags.map((tag) => {
    const items = routes.filter((route) => route.tag === tag).map(routeHtml);
    return `<section id="${tag}"><h2>${tag}</h2>${items.join("")}</section>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>SPECTRA API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<header><h1>SPECTRA API</h1><p>Also as <a href="/openapi.json">OpenAPI 3.1</a>.
<a href="/">Dashboard</a></p><nav aria-label="Sections">${navigation}</nav></header>
<main>${sections.join("")}
<section id="Errors"><h2>Errors</h2><p>Every refusal is
<code>application/problem+json</code> (RFC 9457) with a stable <code>code</code> and, for invalid
fields, <code>errors: [{ pointer, detail }]</code>.</p></section></main>
</body>
</html>
`;
}

function routeHtml(route: Route): string {
  const rows = [
    ...Object.entries(route.parameters).map(([name, text]) => ["path", name, text]),
    ...Object.entries(route.query?.shape ?? {}).map(([name, schema]) => [
      "query",
      name,
      (schema as z.ZodType).description ?? "",
    ]),
    ...Object.entries(route.headers).map(([name, text]) => ["header", name, text]),
  ];
  const table = rows.map(
    ([where = "", name = "", text = ""]) =>
      `<tr><td>${where}</td><th scope="row"><code>${escapeHtml(name)}</code></th><td>${escapeHtml(text)}</td></tr>`,
  );
  const body = route.body === undefined ? "" : schemaHtml("Body", route.body);
  const answers = route.responses.flatMap(({ status, description, content }) =>
    Object.entries(content).map(([type, schema]) => {
      const title = `${status} ${description} (${type})`;
      return schema === undefined ? `<p>${escapeHtml(title)}</p>` : schemaHtml(title, schema);
    }),
  );
  const more = route.description === undefined ? "" : `<p>${escapeHtml(route.description)}</p>`;
  return `<article><h3><span class="${route.method.toLowerCase()}">${route.method}</span>
<code>${escapeHtml(openApiPath(route.path))}</code></h3><p>${escapeHtml(route.summary)}</p>${more}
${table.length === 0 ? "" : `<table><tbody>${table.join("")}</tbody></table>`}${body}${answers.join("")}</article>`;
}

function schemaHtml(title: string, schema: z.ZodType): string {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: "input" });
  return `<details><summary>${escapeHtml(title)}</summary><pre>${escapeHtml(JSON.stringify(rest, undefined, 2))}</pre></details>`;
}

const STYLE = `:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6575;--line:#dfe3ea;--ground:#f6f7f9;--card:#fff;--accent:#3b5bdb;--get:#0b7285;--post:#7048a8}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa5b5;--line:#2a313c;--ground:#0f1318;--card:#161b22;--accent:#91a7ff;--get:#66d9e8;--post:#d0aaff}}
*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:2rem 1rem 4rem;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
h1{margin:0;font-size:1.6rem}h2{margin:2.5rem 0 .75rem;font-size:1.2rem}h3{margin:0;font-size:1rem;overflow-wrap:anywhere}
a{color:var(--accent)}nav{display:flex;flex-wrap:wrap;gap:1rem}header p{color:var(--soft)}
article{margin:.75rem 0;padding:1rem 1.25rem;background:var(--card);border:1px solid var(--line);border-radius:10px}article p{margin:.35rem 0;color:var(--soft)}
.get,.post{display:inline-block;width:3.2rem;font-size:.8rem;color:var(--get)}.post{color:var(--post)}
table{border-collapse:collapse;margin:.5rem 0;font-size:.9rem}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top;font-weight:400}td:first-child{color:var(--soft)}
details{margin-top:.35rem}summary{cursor:pointer;font-size:.9rem}pre{overflow:auto;max-height:24rem;margin:.5rem 0;padding:.75rem;border-radius:8px;background:var(--ground);font-size:.8rem}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
`;
