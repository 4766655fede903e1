/**
 * Rows 96 to 107: what a permission lets a worker load and do. Expectations are Deno 2.9's.
 *
 * @module
 */

import { dataUrl, equal, includes, ok, throws } from "../tools.mjs";
import { printing, withPermissions } from "./permissions.mjs";

const requires = (name, item) =>
  `Requires ${name} access to "${item}", run again with the --allow-${name} flag`;
const tell = "w.onerror = (e) => { e.preventDefault(); console.log(e.message) };";
// Deno loads what it finds as a literal without asking, so the URL is put together.
const make = (
  url,
) => `const w = new Worker([${JSON.stringify(url.slice(0, 3))}, ${JSON.stringify(url.slice(3))}].join(""), { type: "module" });
  w.onmessage = (e) => { console.log("message " + e.data); w.terminate() }; ${tell}`;
/** Code that tries `use` and gives its result or its error's text. */
const attempt = (use) =>
  `await (async () => { try { return await (${use}) } catch (e) { return e.name + ": " + e.message } })()`;

export const capabilityCases = [
  [
    96,
    "the root module needs the maker's permission to read or to import it",
    async (t) => {
      const { path, url } = t.file("root.mjs", "postMessage('loaded')");
      const local = await t.program(make(url), { allow: {} });
      equal(local.lines[0], requires("read", path), local.err);
      equal((await t.program(make(url), { allow: { read: [path] } })).lines, ["message loaded"]);
      const base = await t.serve({ "/root.mjs": "postMessage('remote')" });
      const remote = await t.program(make(`${base}/root.mjs`), { allow: {} });
      equal(remote.lines[0], requires("import", new URL(base).host), remote.err);
      const allowed = await t.program(make(`${base}/root.mjs`), {
        allow: { import: [new URL(base).host] },
      });
      equal(allowed.lines, ["message remote"], allowed.err);
    },
  ],
  [
    97,
    "what a data: or blob: worker imports, local or remote, is checked",
    async (t) => {
      const { url, path } = t.file("local.mjs", "");
      const blob = (code) =>
        `const url = URL.createObjectURL(new Blob([${JSON.stringify(code)}]));
        const w = new Worker(url, { type: "module" }); ${tell}`;
      for (const [imported, text] of [
        [url, requires("read", path)],
        ["https://example.com/some/file.ts", requires("import", "example.com:443")],
      ]) {
        const code = `import ${JSON.stringify(imported)};`;
        for (const main of [make(dataUrl(code)), blob(code)]) {
          const { lines, err } = await t.program(main, { allow: {} });
          equal(lines[0], text, err);
        }
      }
    },
  ],
  [
    98,
    "what a remote worker imports from elsewhere is checked",
    async (t) => {
      const base = await t.serve({ "/root.mjs": `import "https://example.com/some/file.ts";` });
      const { lines, err } = await t.program(make(`${base}/root.mjs`), {
        allow: { import: [new URL(base).host] },
      });
      equal(lines[0], requires("import", "example.com:443"), err);
    },
  ],
  [
    99,
    "a dynamic import is checked against the worker's own permissions",
    async (t) => {
      const { url, path } = t.file("dynamic.mjs", "export default 7");
      const code = `postMessage(${attempt(`import("" + ${JSON.stringify(url)}).then((m) => m.default)`)})`;
      equal(
        await t.start(code, withPermissions("none")).next(),
        `TypeError: ${requires("read", path)}`,
      );
      equal(await t.start(code, withPermissions({ read: [path] })).next(), 7);
      const far = `postMessage(${attempt(`import("" + "https://example.com/some/file.ts")`)})`;
      equal(
        await t.start(far, withPermissions({ import: false })).next(),
        `TypeError: ${requires("import", "example.com:443")}`,
      );
    },
  ],
  [
    100,
    "static local imports of a worker with no permissions load",
    async (t) => {
      t.file("deep/seven.mjs", "export const seven = 7;");
      t.file("deep/mid.mjs", `export { seven } from "./seven.mjs";`);
      const { url } = t.file(
        "static.mjs",
        `import { seven } from "./deep/mid.mjs"; postMessage(seven);`,
      );
      equal(await t.load(url, withPermissions("none")).next(), 7);
    },
  ],
  [
    101,
    "a dynamic import of text is denied with read: false, although the maker may read",
    async (t) => {
      const { path } = t.file("secret.txt", "secret");
      const { url } = t.file(
        "text.mjs",
        `const specifier = ["./sec", "ret.txt"].join("");
        postMessage(${attempt(`import(specifier, { with: { type: "text" } })`)})`,
      );
      includes(await t.load(url, withPermissions({ read: false })).next(), requires("read", path));
    },
  ],
  [
    102,
    "an env grant with a * at its end",
    async (t) => {
      const code = `postMessage([Deno.env.get("DENO_HELLO"), Deno.env.get("DENO_BYE"), ${attempt(`Deno.env.get("AWS_HELLO")`)}])`;
      const env = { DENO_HELLO: "hello", DENO_BYE: "bye", AWS_HELLO: "aws" };
      const { lines, err } = await t.program(printing(code, { env: ["DENO_*"] }), { env });
      equal(
        lines,
        [JSON.stringify(["hello", "bye", `NotCapable: ${requires("env", "AWS_HELLO")}`])],
        err,
      );
    },
  ],
  [
    103,
    "names of env are case-sensitive",
    async (t) => {
      const code = `const all = []; for (const variable of ["foo", "FOO"])
        all.push((await Deno.permissions.query({ name: "env", variable })).state); postMessage(all)`;
      equal(await t.start(code, withPermissions({ env: ["foo"] })).next(), ["granted", "prompt"]);
    },
  ],
  [
    104,
    "process.env.X of a worker with no permissions throws NotCapable",
    async (t) => {
      const code = `import process from "node:process"; postMessage(${attempt("process.env.HOME")})`;
      equal(
        await t.start(code, withPermissions("none")).next(),
        `NotCapable: ${requires("env", "HOME")}`,
      );
    },
  ],
  [
    105,
    "sys is granted by kind",
    async (t) => {
      const code = `import { hostname, release } from "node:os"; const all = [];
        for (const kind of ["hostname", "osRelease"]) all.push((await Deno.permissions.query({ name: "sys", kind })).state);
        postMessage([...all, typeof hostname(), ${attempt("release()")}])`;
      equal(await t.start(code, withPermissions({ sys: ["hostname"] })).next(), [
        "granted",
        "prompt",
        "string",
        `NotCapable: ${requires("sys", "osRelease")}`,
      ]);
    },
  ],
  [
    106,
    "programs that cannot be found are dropped from run; a bad host is a URIError",
    async (t) => {
      const code = `postMessage((await Deno.permissions.query({ name: "run", command: "no-such-program" })).state)`;
      equal(await t.start(code, withPermissions({ run: ["no-such-program"] })).next(), "prompt");
      throws(
        () =>
          new Worker("data:,0", { type: "module", deno: { permissions: { net: ["http://x"] } } }),
        "URIError",
      );
    },
  ],
  [
    107,
    "what a worker revokes takes effect there",
    async (t) => {
      const { path } = t.file("read.txt", "text");
      const read = `Deno.readTextFileSync(${JSON.stringify(path)})`;
      const got = await t
        .start(
          `const before = [typeof ${read}, (await Deno.permissions.query({ name: "env" })).state];
          const { state } = await Deno.permissions.revoke({ name: "read" });
          await Deno.permissions.revoke({ name: "env" });
          postMessage([...before, state, ${attempt(read)}, ${attempt(`Deno.env.get("HOME")`)},
            (await Deno.permissions.query({ name: "env" })).state])`,
          withPermissions({ read: true, env: true }),
        )
        .next();
      equal(got, [
        "string",
        "granted",
        "prompt",
        `NotCapable: ${requires("read", path)}`,
        `NotCapable: ${requires("env", "HOME")}`,
        "prompt",
      ]);
      ok(got.length === 6, "all answers");
    },
  ],
];
