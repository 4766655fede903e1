import { expect, test } from "vitest";
import { ProblemError, problemFrom, problemResponse } from "../../http/problem.ts";
import { RequestError } from "../../runtime/system.ts";

test.each([
  ["NOT_FOUND", 404],
  ["INVALID", 422],
  ["CONFLICT", 409],
  ["UNAVAILABLE", 503],
] as const)("problemFrom() maps the RequestError %s to status %i", (code, status) => {
  const problem = problemFrom(new RequestError(code, "Cannot do it: because"), "/api/v1/x");
  expect(problem).toMatchObject({
    status,
    code,
    detail: "Cannot do it: because",
    instance: "/api/v1/x",
  });
});

test("problemFrom() keeps the fields of a RequestError", () => {
  const fields = [{ pointer: "/input/source", detail: "Must be a URL" }];
  expect(problemFrom(new RequestError("INVALID", "Cannot start", fields)).errors).toEqual(fields);
});

test("problemFrom() says nothing of the inside of an unexpected error", () => {
  const problem = problemFrom(new Error("password=hunter2 at /srv/secret.ts"));
  expect(problem).toMatchObject({ status: 500, code: "INTERNAL" });
  expect(JSON.stringify(problem)).not.toMatch(/hunter2|secret/);
});

test("problemResponse() carries the media type of RFC 9457 and the headers of the problem", async () => {
  const error = new ProblemError("METHOD_NOT_ALLOWED", "Cannot PUT /x", {
    headers: { allow: "GET" },
  });
  const response = problemResponse(problemFrom(error), error.headers);
  expect(response.status).toBe(405);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("allow")).toBe("GET");
  expect(await response.json()).toMatchObject({ type: "urn:spectra:problem:method-not-allowed" });
});
