/**
 * The OpenAPI 3.1 document, generated from the routes.
 *
 * @module
 */

import { z } from "zod";
import type { Route, RouteResponse } from "./route.ts";

type JsonObject = Record<string, unknown>;

const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string().describe("Stable; compare this"),
  instance: z.string().optional(),
  errors: z
    .array(
      z.object({
        pointer: z.string().describe("JSON pointer"),
        detail: z.string(),
        in: z.enum(["body", "query", "header"]).optional(),
      }),
    )
    .optional(),
});

/** JSON Schema 2020-12, as OpenAPI 3.1 wants it; the dialect line is the document's own. */
function schemaOf(schema: z.ZodType): JsonObject {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: "input" });
  return rest;
}

/** `/workflows/:id` as `/workflows/{id}`; what a parameter may look like (`:address{.+}`) is the router's. */
export function openApiPath(path: string): string {
  return path.replace(/:(\w+)(?:\{[^}]*\})?/g, "{$1}");
}

function parametersOf(route: Route): JsonObject[] {
  const inPath = Object.entries(route.parameters).map(([name, description]) => ({
    name,
    in: "path",
    required: true,
    description,
    schema: { type: "string" },
  }));
  const inHeader = Object.entries(route.headers).map(([name, description]) => ({
    name,
    in: "header",
    required: false,
    description,
    schema: { type: "string" },
  }));
  const inQuery = Object.entries(route.query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema: schemaOf(schema as z.ZodType),
  }));
  return [...inPath, ...inQuery, ...inHeader];
}

function responseOf({ description, content }: RouteResponse): JsonObject {
  const media = Object.entries(content).map(([type, schema]) => [
    type,
    { schema: schema === undefined ? { type: "string" } : schemaOf(schema) },
  ]);
  return { description, content: Object.fromEntries(media) };
}

function operationOf(route: Route): JsonObject {
  const codes =
    route.problems.length === 0 ? "" : `: ${route.problems.join(", ")}, and the general ones`;
  return {
    tags: [route.tag],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    operationId: operationId(route),
    parameters: parametersOf(route),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: route.bodyRequired,
            content: { "application/json": { schema: schemaOf(route.body) } },
          },
        }),
    responses: {
      ...Object.fromEntries(route.responses.map((answer) => [answer.status, responseOf(answer)])),
      default: {
        description: `Problem details${codes}`,
        content: {
          "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
        },
      },
    },
  };
}

/** `GET /api/v1/workflows/:id/tasks` as `getWorkflowsIdTasks`. */
export function operationId({ method, path }: Pick<Route, "method" | "path">): string {
  const words = path.replace("/api/v1", "").match(/\w+/g) ?? [];
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
  return method.toLowerCase() + name;
}

export function openApiDocument(routes: readonly Route[], version: string): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const route of routes) {
    const path = openApiPath(route.path);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: "3.1.0",
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    info: {
      title: "SPECTRA",
      version,
      description:
        "Multi-agent orchestration. Times are ISO 8601 UTC, durations milliseconds, progress 0 to 1. " +
        "Errors are RFC 9457 problem details with a stable code.",
    },
    servers: [{ url: "/" }],
    tags: [...new Set(routes.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    components: { schemas: { Problem: schemaOf(problemSchema) } },
  };
}
