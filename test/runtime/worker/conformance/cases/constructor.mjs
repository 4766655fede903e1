/**
 * Rows 1 to 14: the constructor. Expectations are Deno 2.9's.
 *
 * @module
 */

import { dataUrl, equal, includes, ok, throws } from "../tools.mjs";

const echo = "onmessage = (e) => postMessage(e.data)";

export const constructorCases = [
  [
    1,
    "a module worker from a file URL runs and echoes",
    async (t) => {
      equal(await t.load(t.file("echo.mjs", echo).url).ask("Hello World"), "Hello World");
    },
  ],
  [
    2,
    "a TypeScript worker runs, and its TypeScript imports",
    async (t) => {
      t.file("plus.ts", "export const plus = (n: number): number => n + 1;");
      const { url } = t.file(
        "worker.ts",
        `import { plus } from "./plus.ts";
         interface Question { readonly n: number }
         self.onmessage = ({ data }: MessageEvent<Question>): void => self.postMessage(plus(data.n));`,
      );
      equal(await t.load(url).ask({ n: 1 }), 2);
    },
  ],
  [
    3,
    "without a type, or with classic, it throws NotSupportedError",
    async () => {
      const text = "Classic workers are not supported.";
      equal(throws(() => new Worker(dataUrl(echo)), "NotSupportedError", text).code, 9);
      throws(() => new Worker(dataUrl(echo), { type: "classic" }), "NotSupportedError", text);
    },
  ],
  [
    4,
    "an unknown type is a TypeError",
    async () => {
      throws(
        () => new Worker(dataUrl(echo), { type: "foo" }),
        "TypeError",
        "The provided value 'foo' is not a valid enum value of type WorkerType",
      );
    },
  ],
  [
    5,
    "a relative specifier without a base is a URIError",
    async () => {
      for (const specifier of ["./x.js", "../x.js", "/x.js", "x.js", "http://["]) {
        throws(() => new Worker(specifier, { type: "module" }), "URIError", "invalid URL: ");
      }
    },
  ],
  [
    6,
    "a relative specifier is resolved against the location",
    async (t) => {
      const { folder } = t.file("sub/echo.mjs", "postMessage(new URL(location.href).pathname)");
      const main = `const w = new Worker("./sub/echo.mjs", { type: "module" });
        w.onmessage = (e) => { console.log(e.data); w.terminate(); };`;
      // Deno allows no file URL there, so the worker is served.
      const origin = await t.serve({ "/a/sub/echo.mjs": "postMessage(location.pathname)" });
      ok(folder !== "", "a folder");
      const { code, lines, err } = await t.program(main, { location: `${origin}/a/main.mjs` });
      equal([code, lines], [0, ["/a/sub/echo.mjs"]], err);
    },
  ],
  [
    7,
    "a data: URL, plain and base64, with its name",
    async (t) => {
      const code = `if (name !== "nm") throw new Error(name); ${echo}`;
      equal(await t.start(code, { name: "nm" }).ask(1), 1);
      const url = `data:application/javascript;base64,${btoa(code)}`;
      equal(await t.load(url, { name: "nm" }).ask(2), 2);
    },
  ],
  [
    8,
    "a blob: URL",
    async (t) => {
      const url = URL.createObjectURL(new Blob([echo], { type: "text/javascript" }));
      equal(await t.load(url).ask(3), 3);
      URL.revokeObjectURL(url);
    },
  ],
  [
    9,
    "a blob: URL that is revoked right after construction still loads",
    async (t) => {
      for (let i = 0; i < 3; i += 1) {
        const url = URL.createObjectURL(new Blob([echo], { type: "application/javascript" }));
        const worker = t.load(url);
        URL.revokeObjectURL(url);
        equal(await worker.ask(i), i);
      }
    },
  ],
  [
    10,
    "the name is self.name: as given, empty without, always a string",
    async (t) => {
      const code = "postMessage([name, self.name])";
      equal(await t.start(code, { name: "nm" }).next(), ["nm", "nm"]);
      equal(await t.start(code).next(), ["", ""]);
      equal(await t.start(code, { name: 5 }).next(), ["5", "5"]);
    },
  ],
  [
    11,
    "a call without new throws",
    async () => {
      throws(
        () => Worker("x"),
        "TypeError",
        "Class constructor Worker cannot be invoked without 'new'",
      );
    },
  ],
  [
    12,
    "env and workerData warn and are ignored",
    async (t) => {
      const code = `const w = new Worker(${JSON.stringify(dataUrl(`postMessage(Deno.env.get("ADDED") ?? "none")`))},
        { type: "module", env: { ADDED: "x" }, workerData: 1 });
        w.onmessage = (e) => { console.log(e.data); w.terminate(); };`;
      const { code: exit, lines, err } = await t.program(code);
      equal([exit, lines], [0, ["none"]]);
      includes(
        err,
        "Warning: env, workerData option(s) are not supported for web Workers and will be ignored. " +
          "Use the node:worker_threads module instead.",
      );
    },
  ],
  [
    13,
    "a missing file is an error event, and fails who does not listen",
    async (t) => {
      const url = t.file("here.mjs", "").url.replace("here.mjs", "missing.mjs");
      const { message, filename } = await t.load(url).error();
      equal([message, filename], [`Module not found "${url}".`, ""]);
      const { code, err } = await t.program(
        `new Worker(${JSON.stringify(url)}, { type: "module" })`,
      );
      equal(code, 1);
      includes(err, `Module not found "${url}".`);
      includes(err, "Unhandled error in child worker.");
    },
  ],
  [
    14,
    "a syntax error is an error event without a file name",
    async (t) => {
      const { message, filename, lineno } = await t.start("let x = ;").error();
      includes(message, "SyntaxError");
      equal([filename, lineno], ["", 0]);
    },
  ],
];
