import { expect, test } from "vitest";
import {
  createRedactor,
  eventLimits,
  redacted,
} from "../../../../runtime/worker/inspect/redact.ts";

const { json, text } = createRedactor(["pin"]);
const clean = (value: unknown) => json(value, eventLimits);

test("fields with secret names lose their value, others keep it", () => {
  for (const name of [
    "password",
    "dbPassword",
    "DB_PASSWORD",
    "passwordHash",
    "clientSecret",
    "api_key",
    "apiKey",
    "X-API-Key",
    "accessToken",
    "GITHUB_TOKEN",
    "authorization",
    "Cookie",
    "privateKey",
    "DATABASE_URL",
    "PIN",
  ]) {
    expect(clean({ [name]: "v" }), name).toEqual({ [name]: redacted });
    expect(text({ [name]: "v" }, eventLimits), name).toBe(JSON.stringify({ [name]: redacted }));
  }
  const plain = { tokens: 5, tokenCount: 7, monkey: "x", key: "k", author: "a", passport: "p" };
  expect(clean(plain)).toEqual(plain);
  expect(clean({ hasPassword: true, password: null })).toEqual({
    hasPassword: true,
    password: null,
  });
});

test("secrets inside texts are cut out, wherever the text stands", () => {
  for (const [given, kept] of [
    ["postgres://spectra:s3cr3t@db:5432/x", "postgres://spectra:[redacted]@db:5432/x"],
    [
      "curl -H 'Authorization: Bearer abcdefgh12345678'",
      "curl -H 'Authorization: Bearer [redacted]'",
    ],
    ["https://x.example/?a=1&token=abc123&b=2", "https://x.example/?a=1&token=[redacted]&b=2"],
    ["run --password=hunter2 now", "run --password=[redacted] now"],
    ["key ghp_0123456789abcdef0123 end", "key [redacted] end"],
    ["AKIAIOSFODNN7EXAMPLE", "[redacted]"],
    ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "[redacted]"],
    ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[redacted]"],
  ]) {
    expect(clean(given)).toBe(kept);
    expect(clean([{ deep: given }])).toEqual([{ deep: kept }]);
    expect(JSON.parse(text({ type: "x", note: given }, eventLimits))).toEqual({
      type: "x",
      note: kept,
    });
  }
  const harmless = "https://example.org/a?b=c and 12:30 o'clock, user@example.org";
  expect(clean(harmless)).toBe(harmless);
});

test("depth, entries, nodes and length are bounded, whatever comes", () => {
  const ring: Record<string, unknown> = { name: "ring" };
  ring["self"] = ring;
  expect(clean(ring)).toEqual({ name: "ring", self: "[circular]" });
  let deep: unknown = "bottom";
  for (let level = 0; level < 100; level += 1) deep = { deep };
  expect(JSON.stringify(clean(deep))).toHaveLength(
    JSON.stringify({ deep: { deep: { deep: { deep: { deep: { deep: "…" } } } } } }).length,
  );
  expect(clean(Array.from({ length: 1_000 }, (_, n) => n))).toHaveLength(eventLimits.entries + 1);
  expect(clean("x".repeat(100_000))).toHaveLength(eventLimits.text + 1);
  const wide = Array.from({ length: 32 }, () =>
    Array.from({ length: 32 }, () => ({ a: [1, 2, 3] })),
  );
  expect(JSON.stringify(clean(wide)).length).toBeLessThan(20_000);
});

test("what is no JSON becomes something that is, and what cannot be read does no harm", () => {
  const nasty = {
    date: new Date(0),
    bytes: new Uint8Array(3),
    big: 10n,
    not: Number.NaN,
    fn: function named() {},
    map: new Map([["a", 1]]),
    error: new TypeError("bad", { cause: "why" }),
    get broken(): never {
      throw new Error("no");
    },
  };
  expect(clean({ ...Object.getOwnPropertyDescriptors({}), inner: nasty })).toEqual({
    inner: "[unreadable: Error: no]",
  });
  const { broken: _, ...rest } = Object.getOwnPropertyDescriptors(nasty);
  expect(clean(Object.defineProperties({}, rest))).toEqual({
    date: "1970-01-01T00:00:00.000Z",
    bytes: "[3 bytes]",
    big: "10",
    not: "NaN",
    fn: { type: "named" },
    map: { map: [["a", 1]] },
    error: { name: "TypeError", message: "bad", cause: "why" },
  });
  const polluting = JSON.parse('{"__proto__":{"polluted":true}}') as object;
  expect(Object.getPrototypeOf(clean(polluting))).toBe(Object.prototype);
  expect(JSON.parse(text(polluting, eventLimits))).toEqual({ "[__proto__]": { polluted: true } });
});
