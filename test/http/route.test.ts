import { Hono } from "hono";
import { expect, test } from "vitest";
import { z } from "zod";
import { ProblemError, problemFrom, problemResponse } from "../../http/problem.ts";
import { answers, defineRoute, MAX_BODY_BYTES, pointerOf, validate } from "../../http/route.ts";

const route = defineRoute({
  method: "POST",
  path: "/echo/:name",
  tag: "Test",
  summary: "Gives back what it got",
  query: z.strictObject({ limit: z.coerce.number().int().min(1).max(200).default(50) }),
  body: z.strictObject({ a: z.strictObject({ b: z.number() }).optional() }),
  bodyRequired: false,
  responses: [answers(200, "What it got")],
  handle: ({ context, param, query, body }) => context.json({ name: param("name"), query, body }),
});

const app = new Hono();
app.on(route.method, route.path, (context) => route.handle(context));
app.onError((error) => problemResponse(problemFrom(error)));

async function send(
  body: string | undefined,
  path = "/echo/x",
  type = "application/json",
): Promise<{ status: number; body: unknown }> {
  const response = await app.request(path, {
    method: "POST",
    ...(body === undefined ? {} : { body }),
    headers: { "content-type": type },
  });
  return { status: response.status, body: await response.json() };
}

test("defineRoute() hands over the parsed query, body and parameters", async () => {
  expect(await send('{"a":{"b":1}}', "/echo/y?limit=7")).toEqual({
    status: 200,
    body: { name: "y", query: { limit: 7 }, body: { a: { b: 1 } } },
  });
});

test("defineRoute() takes an empty body as {} where none is required", async () => {
  expect(await send(undefined)).toMatchObject({ status: 200, body: { body: {} } });
});

test("defineRoute() answers malformed JSON with 400", async () => {
  expect(await send('{"a":')).toMatchObject({ status: 400, body: { code: "MALFORMED_JSON" } });
});

test("defineRoute() answers another media type with 415", async () => {
  const answer = await send("a=1", "/echo/x", "application/x-www-form-urlencoded");
  expect(answer).toMatchObject({ status: 415, body: { code: "UNSUPPORTED_MEDIA_TYPE" } });
});

test("defineRoute() names each wrong field by its pointer", async () => {
  expect(await send('{"a":{"b":"x"},"c":1}')).toMatchObject({
    status: 422,
    body: {
      code: "INVALID",
      errors: [
        { pointer: "/a/b", in: "body" },
        { pointer: "/c", in: "body", detail: "This field does not exist here" },
      ],
    },
  });
});

test("defineRoute() checks the query", async () => {
  expect(await send("{}", "/echo/x?limit=201")).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: "/limit", in: "query" }] },
  });
});

test("defineRoute() refuses a body over the limit, whatever its length header says", async () => {
  const large = JSON.stringify({ a: "x".repeat(MAX_BODY_BYTES) });
  expect(await send(large)).toMatchObject({ status: 413, body: { code: "BODY_TOO_LARGE" } });
  const stream = new Blob([large]).stream();
  const streamed = await app.request("/echo/x", {
    method: "POST",
    body: stream,
    headers: { "content-type": "application/json" },
    duplex: "half",
  } as RequestInit);
  expect(streamed.status).toBe(413);
});

test("pointerOf() escapes as RFC 6901 asks", () => {
  expect(pointerOf(["a/b", 0, "c~d"])).toBe("/a~1b/0/c~0d");
});

test("validate() names the part when the whole of it is wrong", () => {
  expect(() => validate(z.strictObject({}), 7, "body")).toThrow(ProblemError);
  expect(() => validate(z.strictObject({}), 7, "body")).toThrow("check body");
});
