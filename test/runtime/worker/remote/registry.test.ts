import { expect, test } from "vitest";
import type { Json } from "../../../../machines/error-code.ts";
import {
  createDeadLetters,
  type DeadLetters,
} from "../../../../runtime/worker/remote/dead-letters.ts";
import { createRegistry, type Registration } from "../../../../runtime/worker/remote/registry.ts";

const ignore = () => undefined;
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function openLetters(): DeadLetters {
  return createDeadLetters({ node: "test", log });
}

function entry(path: string, more: Partial<Registration> = {}): Registration {
  return { path, incarnation: 1, names: [], groups: [], deliver: async () => undefined, ...more };
}

test("names lead to one actor each, groups to all of theirs, until they end", () => {
  const registry = createRegistry(openLetters());
  registry.add(entry("/a", { names: ["first"], groups: ["all", "odd"] }));
  registry.add(entry("/b", { names: ["second"], groups: ["all"] }));
  expect(registry.lookup("first")?.path).toBe("/a");
  expect(registry.members("all").map(({ path }) => path)).toEqual(["/a", "/b"]);
  expect(registry.members("odd").map(({ path }) => path)).toEqual(["/a"]);
  expect(registry.members("none")).toEqual([]);

  registry.restarted("/a", 2);
  expect(registry.lookup("first")).toMatchObject({ path: "/a", incarnation: 2 });
  registry.remove("/a");
  expect(registry.lookup("first")).toBeUndefined();
  expect(registry.members("all").map(({ path }) => path)).toEqual(["/b"]);
  registry.add(entry("/c", { names: ["first"] }));
  expect(registry.lookup("first")?.path).toBe("/c");
});

test("an address or a name that is taken is refused, and nothing is half registered", () => {
  const registry = createRegistry(openLetters());
  registry.add(entry("/a", { names: ["one"] }));
  const taken = expect.objectContaining({ code: "NAME_TAKEN" });
  expect(() => registry.add(entry("/a"))).toThrow(taken);
  expect(() => registry.add(entry("/b", { names: ["free", "one"] }))).toThrow(taken);
  expect(registry.get("/b")).toBeUndefined();
  expect(registry.lookup("free")).toBeUndefined();
});

test("who subscribes hears of each change, in order, until it ends that", () => {
  const registry = createRegistry(openLetters());
  const heard: string[] = [];
  const end = registry.subscribe(({ type, entry: { path, incarnation } }) =>
    heard.push(`${type} ${path}#${incarnation}`),
  );
  registry.add(entry("/a"));
  registry.restarted("/a", 1);
  registry.restarted("/a", 2);
  registry.remove("/a");
  registry.remove("/a");
  end();
  registry.add(entry("/b"));
  expect(heard).toEqual(["added /a#1", "restarted /a#2", "removed /a#2"]);
});

test("an event reaches the incarnation that it means, or is a dead letter with the reason", async () => {
  const letters = openLetters();
  const registry = createRegistry(letters);
  const got: Json[] = [];
  registry.add(entry("/a", { incarnation: 3, deliver: async (event) => void got.push(event) }));
  await registry.send("/a", 1);
  await registry.send("/a#3", 2);
  await expect(registry.send("/a#2", 3)).rejects.toMatchObject({ code: "INCARNATION_STALE" });
  const from = { sender: "/s", senderSeq: 1 };
  await expect(registry.send("/b", 4, { from })).rejects.toMatchObject({ code: "ADDRESS_UNKNOWN" });
  expect(got).toEqual([1, 2]);
  expect(letters.recent().toReversed()).toMatchObject([
    { target: "/a#2", reason: "stale-incarnation", event: 3, sender: null },
    { target: "/b", reason: "unknown-address", event: 4, sender: "/s" },
  ]);
});
