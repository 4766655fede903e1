/**
 * A route as data: path, what it takes, what it answers. The app registers it, the OpenAPI document
 * and the reference page are generated from it, so the three cannot disagree.
 *
 * @module
 */

import type { Context } from "hono";
import type { z } from "zod";
import { type InvalidField, type ProblemCode, ProblemError } from "./problem.ts";

/** Largest request body, in bytes. */
export const MAX_BODY_BYTES = 1_048_576;

/** Who is named in the journal when a request changes state. */
export const API_ACTOR = "api";

export interface RouteResponse {
  readonly status: number;
  readonly description: string;
  /** Media type to schema; a text type may have none. */
  readonly content: Readonly<Record<string, z.ZodType | undefined>>;
}

export interface RouteInput<Q, B> {
  readonly context: Context;
  /** A parameter of the path; the router guarantees that it is there. */
  readonly param: (name: string) => string;
  readonly query: Q;
  readonly body: B;
}

export interface Route {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** With `:name` for parameters. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: z.ZodObject | undefined;
  readonly body: z.ZodType | undefined;
  readonly bodyRequired: boolean;
  readonly responses: readonly RouteResponse[];
  /** Codes beyond those that any route may answer with. */
  readonly problems: readonly ProblemCode[];
  handle(context: Context): Promise<Response>;
}

interface RouteOptions<Q extends z.ZodObject | undefined, B extends z.ZodType | undefined> {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  tag: string;
  summary: string;
  description?: string;
  /** What each path parameter means. */
  parameters?: Readonly<Record<string, string>>;
  /** Request headers that the route reads. */
  headers?: Readonly<Record<string, string>>;
  query?: Q;
  body?: B;
  /** False: an empty body counts as `{}`. Default true. */
  bodyRequired?: boolean;
  responses: readonly RouteResponse[];
  problems?: readonly ProblemCode[];
  handle(
    input: RouteInput<
      Q extends z.ZodObject ? z.output<Q> : undefined,
      B extends z.ZodType ? z.output<B> : undefined
    >,
  ): Promise<Response> | Response;
}

/** Declares a route; `handle` runs only with a query and a body that passed their schemas. */
export function defineRoute<
  Q extends z.ZodObject | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(options: RouteOptions<Q, B>): Route {
  type Input = Parameters<RouteOptions<Q, B>["handle"]>[0];
  const { query, body, bodyRequired = true } = options;
  return {
    method: options.method,
    path: options.path,
    tag: options.tag,
    summary: options.summary,
    ...(options.description === undefined ? {} : { description: options.description }),
    parameters: options.parameters ?? {},
    headers: options.headers ?? {},
    query,
    body,
    bodyRequired,
    responses: options.responses,
    problems: options.problems ?? [],
    handle: async (context) =>
      options.handle({
        context,
        param: (name) => storable(context.req.param(name) ?? ""),
        query: query === undefined ? undefined : validate(query, context.req.query(), "query"),
        body:
          body === undefined
            ? undefined
            : validate(body, await readJson(context, bodyRequired), "body"),
      } as Input),
  };
}

/** PostgreSQL holds no U+0000 in texts: nothing has such a name. @throws {ProblemError} `NOT_FOUND`. */
function storable(parameter: string): string {
  if (!parameter.includes("\u0000")) return parameter;
  const shown = JSON.stringify(parameter.slice(0, 100));
  throw new ProblemError("NOT_FOUND", `Cannot find ${shown}: no id or name holds U+0000`);
}

/** An answer of one media type, the usual case. */
export function answers(
  status: number,
  description: string,
  schema?: z.ZodType,
  mediaType = "application/json",
): RouteResponse {
  return { status, description, content: { [mediaType]: schema } };
}

/** `["tasks", 0, "a/b"]` as the JSON pointer `/tasks/0/a~1b`. */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path
    .map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("");
}

/** @throws {ProblemError} `INVALID` naming each wrong field. */
export function validate<S extends z.ZodType>(
  schema: S,
  value: unknown,
  part: "body" | "query",
): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields: InvalidField[] = [];
  for (const issue of result.error.issues) {
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) {
        const pointer = pointerOf([...issue.path, key]);
        fields.push({ pointer, detail: "This field does not exist here", in: part });
      }
    } else {
      fields.push({ pointer: pointerOf(issue.path), detail: issue.message, in: part });
    }
  }
  const named = fields.map((field) => (field.pointer === "" ? part : field.pointer)).join(", ");
  throw new ProblemError("INVALID", `Cannot accept the ${part}: check ${named}`, { fields });
}

async function readJson(context: Context, required: boolean): Promise<unknown> {
  const text = await readText(context.req.raw);
  if (text === "" && !required) return {};
  const mediaType = context.req.header("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (text !== "" && mediaType !== "application/json") {
    throw new ProblemError(
      "UNSUPPORTED_MEDIA_TYPE",
      `Cannot read a body of type "${(mediaType ?? "none").slice(0, 100)}": send application/json`,
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : "not JSON";
    throw new ProblemError("MALFORMED_JSON", `Cannot read the body: ${reason}`);
  }
}

/** Reads at most `MAX_BODY_BYTES`, whatever the length header claims. */
export async function readText(request: Request): Promise<string> {
  const tooLarge = (): ProblemError =>
    new ProblemError(
      "BODY_TOO_LARGE",
      `Cannot read a body of more than ${MAX_BODY_BYTES} bytes: send less`,
    );
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  if (request.body === null) return "";
  const decoder = new TextDecoder();
  const reader = request.body.getReader();
  let text = "";
  let sizeBytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    sizeBytes += value.byteLength;
    if (sizeBytes > MAX_BODY_BYTES) {
      await reader.cancel();
      throw tooLarge();
    }
    text += decoder.decode(value, { stream: true });
  }
}
