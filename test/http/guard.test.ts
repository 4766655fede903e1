import { expect, test } from "vitest";
import { checkCaller, checkToken, isLoopbackHost, isOwnOrigin } from "../../http/guard.ts";

test.each([
  ["localhost", true],
  ["LOCALHOST:5000", true],
  ["127.0.0.1:5000", true],
  ["[::1]:5000", true],
  ["evil.example", false],
  ["localhost.evil.example", false],
  ["127.0.0.1.evil.example:80", false],
  ["localhost:5000@evil.example", false],
  ["0.0.0.0:5000", false],
  ["", false],
])("isLoopbackHost(%j) is %j", (host, expected) => {
  expect(isLoopbackHost(host)).toBe(expected);
});

test.each([
  [null, "localhost:5000", true],
  ["http://localhost:5000", "localhost:5000", true],
  ["http://LOCALHOST:5000", "localhost:5000", true],
  ["http://localhost:5001", "localhost:5000", false],
  ["http://127.0.0.1:5000", "localhost:5000", false],
  ["https://evil.example", "localhost:5000", false],
  ["null", "localhost:5000", false],
  ["file://", "localhost:5000", false],
])("isOwnOrigin(%j) for host %s is %j", (origin, host, expected) => {
  expect(isOwnOrigin(origin, host)).toBe(expected);
});

function request(method: string, headers: Record<string, string>): Request {
  return new Request("http://localhost:5000/api/v1/workflows", { method, headers });
}

test("checkCaller() refuses a rebound host, also for reading", () => {
  expect(() => checkCaller(request("GET", { host: "evil.example:5000" }))).toThrow(
    /Cannot answer for host "evil.example:5000"/,
  );
});

test("checkCaller() lets a foreign page read (CORS hides the answer) but not write or upgrade", () => {
  const headers = { host: "localhost:5000", origin: "https://evil.example" };
  expect(() => checkCaller(request("GET", headers))).not.toThrow();
  expect(() => checkCaller(request("POST", headers))).toThrow(/only pages of this server/);
  expect(() => checkCaller(request("GET", headers), true)).toThrow(/only pages of this server/);
});

test("checkCaller() lets the own page and programs without Origin write", () => {
  const own = { host: "localhost:5000", origin: "http://localhost:5000" };
  expect(() => checkCaller(request("POST", own))).not.toThrow();
  expect(() => checkCaller(request("POST", { host: "localhost:5000" }))).not.toThrow();
});

test("checkCaller() refuses a write that the browser marks as cross-site", () => {
  const headers = { host: "localhost:5000", "sec-fetch-site": "cross-site" };
  expect(() => checkCaller(request("POST", headers))).toThrow(/Cannot change state/);
});

test("checkToken() takes the bearer header or the cookie, and nothing else", () => {
  const check = (headers: Record<string, string>): void =>
    checkToken(request("GET", headers), "s3cret ü");
  expect(() => checkToken(request("GET", { authorization: "Bearer abc" }), "abc")).not.toThrow();
  expect(() => check({ cookie: "a=1; spectra_token=s3cret%20%C3%BC" })).not.toThrow();
  expect(() => check({ cookie: "spectra_token=wrong" })).toThrow(/without a valid token/);
  expect(() => check({ authorization: "Bearer wrong" })).toThrow(/without a valid token/);
  expect(() => check({})).toThrow(/without a valid token/);
});
