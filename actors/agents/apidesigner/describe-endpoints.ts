/**
 * APIDESIGNER.describe_endpoints: the REST endpoints that a kind of record needs, as OpenAPI.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../../../machines/error-code.ts";
import { capability } from "../../define-agent.ts";
import { jsonSchema } from "../json-schema.ts";

const fieldSchema = z.object({
  type: z.enum(["string", "integer", "number", "boolean", "date-time"]),
  required: z.boolean().default(false),
});

export const describeEndpoints = capability({
  description: "Derives OpenAPI 3.1 paths and schema from the fields of a record",
  input: z.object({
    resource: z.string().regex(/^[a-z][a-z-]*$/),
    fields: z.record(z.string().regex(/^[a-z][A-Za-z0-9]*$/), fieldSchema),
  }),
  output: z.object({
    title: z.string(),
    /** As in `GET /messages`, in the order of the document. */
    endpoints: z.array(z.object({ endpoint: z.string(), summary: z.string() })),
    openapi: jsonSchema,
  }),
  connections: 0,
  async run(_ctx, { resource, fields }) {
    const path = `/${resource}s`;
    const operations: readonly [string, string, string, string][] = [
      [path, "get", `Lists ${resource}s, page by page`, "200"],
      [path, "post", `Creates a ${resource}`, "201"],
      [`${path}/{id}`, "get", `Reads one ${resource}`, "200"],
      [`${path}/{id}`, "patch", `Changes fields of a ${resource}`, "200"],
      [`${path}/{id}`, "delete", `Removes a ${resource}`, "204"],
    ];
    const paths: Record<string, Record<string, Json>> = {};
    for (const [where, method, summary, status] of operations) {
      const responses = { [status]: { description: summary }, default: { $ref: PROBLEM } };
      paths[where] = { ...paths[where], [method]: { summary, responses } };
    }
    const title = `${resource} API`;
    return {
      title,
      endpoints: operations.map(([where, method, summary]) => ({
        endpoint: `${method.toUpperCase()} ${where}`,
        summary,
      })),
      openapi: {
        openapi: "3.1.0",
        info: { title, version: "1.0.0" },
        paths,
        components: {
          schemas: { [resource]: recordSchema(fields) },
          responses: { problem: { description: "Problem details (RFC 9457)" } },
        },
      },
    };
  },
});

const PROBLEM = "#/components/responses/problem";

function recordSchema(fields: Readonly<Record<string, z.infer<typeof fieldSchema>>>): Json {
  const properties = Object.entries(fields).map(([name, { type }]) => [
    name,
    type === "date-time" ? { type: "string", format: type } : { type },
  ]);
  const required = Object.keys(fields).filter((name) => fields[name]?.required === true);
  return { type: "object", properties: Object.fromEntries(properties) as Json, required };
}
