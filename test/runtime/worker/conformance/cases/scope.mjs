/**
 * Rows 42 to 49: the worker's global scope. Expectations are Deno 2.9's.
 *
 * @module
 */

import { equal, ok } from "../tools.mjs";

export const scopeCases = [
  [
    42,
    "self is globalThis, a DedicatedWorkerGlobalScope and a WorkerGlobalScope",
    async (t) => {
      equal(
        await t
          .start(`postMessage([self === globalThis, self instanceof DedicatedWorkerGlobalScope,
          self instanceof WorkerGlobalScope, self instanceof EventTarget, String(self)])`)
          .next(),
        [true, true, true, true, "[object DedicatedWorkerGlobalScope]"],
      );
    },
  ],
  [
    43,
    "no window, storage, dialogs, importScripts or require; Deno, process and Worker are there",
    async (t) => {
      const code = (names) =>
        `postMessage(${JSON.stringify(names)}.map((n) => n + ":" + typeof globalThis[n]))`;
      const absent = [
        "window",
        "document",
        "localStorage",
        "sessionStorage",
        "alert",
        "confirm",
        "prompt",
        "importScripts",
      ];
      equal(
        await t.start(code(absent)).next(),
        absent.map((name) => `${name}:undefined`),
      );
      equal(
        await t.start("postMessage([typeof require, typeof module, typeof __filename])").next(),
        ["undefined", "undefined", "undefined"],
      );
      equal(await t.start(code(["Deno", "process", "Worker"])).next(), [
        "Deno:object",
        "process:object",
        "Worker:function",
      ]);
    },
  ],
  [
    44,
    "navigator is a WorkerNavigator",
    async (t) => {
      const [cores, agent, language, list] = await t
        .start(`postMessage([navigator.hardwareConcurrency, navigator.userAgent,
          navigator.language, navigator.languages])`)
        .next();
      ok(Number.isInteger(cores) && cores > 0, "hardwareConcurrency");
      equal([typeof agent, typeof language, Array.isArray(list)], ["string", "string", true]);
      equal(await t.start("postMessage(navigator instanceof WorkerNavigator)").next(), true);
    },
  ],
  [
    45,
    "location is the URL of the worker's module",
    async (t) => {
      const { url } = t.file(
        "where.mjs",
        `const { href, protocol, pathname, search, hash, host, origin } = location;
        postMessage([String(location), href, protocol, search, hash, host, typeof origin, pathname === new URL(href).pathname,
        location instanceof WorkerLocation])`,
      );
      equal(await t.load(`${url}?a=b#c`).next(), [
        `${url}?a=b#c`,
        `${url}?a=b#c`,
        "file:",
        "?a=b",
        "#c",
        "",
        "string",
        true,
        true,
      ]);
    },
  ],
  [
    46,
    "location is always the same object and cannot be set",
    async (t) => {
      const [same, kept, failed] = await t
        .start(`const first = location, href = location.href; let failed = 0;
          try { location = "http://x/" } catch { failed++ }
          try { location.href = "http://x/" } catch { failed++ }
          postMessage([first === location, location.href === href, failed])`)
        .next();
      equal([same, kept, failed], [true, true, 2]);
    },
  ],
  [
    47,
    "import.meta.main is true in the root module and false in what it imports",
    async (t) => {
      t.file("part.mjs", "export const main = import.meta.main;");
      const { url } = t.file(
        "main.mjs",
        `import { main } from "./part.mjs"; postMessage([import.meta.main, main, import.meta.url === location.href])`,
      );
      equal(await t.load(url).next(), [true, false, true]);
    },
  ],
  [
    48,
    "crypto, fetch and performance are there",
    async (t) => {
      const base = await t.serve({ "/text": "fetched" });
      const [id, digest, text, now] = await t
        .start(`const bytes = new TextEncoder().encode("data");
          postMessage([crypto.randomUUID().length, (await crypto.subtle.digest("SHA-1", bytes)).byteLength,
            await (await fetch("${base}/text")).text(), performance.now() > 0])`)
        .next();
      equal([id, digest, text, now], [36, 20, "fetched", true]);
    },
  ],
  [
    49,
    "a worker can serve HTTP",
    async (t) => {
      const port = await t
        .start(`import { createServer } from "node:http";
          const server = createServer((request, response) => response.end("served " + request.url));
          server.listen(0, "127.0.0.1", () => postMessage(server.address().port));`)
        .next();
      const response = await fetch(`http://127.0.0.1:${port}/x`, {
        headers: { connection: "close" },
      });
      equal(await response.text(), "served /x");
    },
  ],
];
