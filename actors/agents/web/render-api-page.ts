/**
 * WEB.render_api_page: a web page that describes an API.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";

export const renderApiPage = capability({
  description: "Writes an accessible HTML page with a table of endpoints",
  input: z.object({
    title: z.string().min(1),
    endpoints: z
      .array(z.object({ endpoint: z.string(), summary: z.string() }))
      .min(1)
      .max(200),
  }),
  output: z.object({ html: z.string(), topics: z.array(z.string()) }),
  connections: 0,
  async run(_ctx, { title, endpoints }) {
    const rows = endpoints.map(
      ({ endpoint, summary }) =>
        `<tr><th scope="row"><code>${escape(endpoint)}</code></th><td>${escape(summary)}</td></tr>`,
    );
    const html = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title></head>
<body><main><h1>${escape(title)}</h1>
<table><caption>Endpoints</caption>
<thead><tr><th scope="col">Endpoint</th><th scope="col">What it does</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody></table></main></body>
</html>
`;
    return { html, topics: endpoints.map(({ endpoint }) => endpoint) };
  },
});

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => ENTITIES[sign] ?? sign);
}
