/** @module Tests of compiling and looking at a user's module: what is found, and how each mistake is told. */

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadModule, RefusedModule } from "../../../runtime/agents-folder/load-module.ts";
import { ensureBuilt } from "../../support/build.ts";

let root: string;
let folder: string;
let count = 0;

beforeAll(async () => {
  await ensureBuilt();
  root = mkdtempSync(join(tmpdir(), "spectra-load-"));
});
afterAll(() => rmSync(root, { recursive: true }));
beforeEach(() => {
  count += 1;
  folder = join(root, String(count));
});

function put(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function load(file: string, limits = {}) {
  return loadModule(file, { cacheDir: join(folder, "cache"), inputs: new Set(), limits });
}

const head = `import { capability, defineAgent, z } from "spectra-orchestrator";\n`;
const greeter = `${head}
export default defineAgent({
  name: "GREETER",
  permissions: { read: ["./inbox"] },
  concurrency: 2,
  capabilities: {
    greet: capability({
      input: z.object({ name: z.string() }),
      output: z.object({ text: z.string() }),
      connections: 0,
      async run(_ctx, { name }) {
        return { text: \`Hello, \${name}\` };
      },
    }),
  },
});
`;

describe("a module that works", () => {
  test("is read as data, with its schemas", async () => {
    const { agents } = await load(put("greeter.ts", greeter));
    expect(agents).toMatchObject([
      {
        name: "GREETER",
        category: "custom",
        concurrency: 2,
        permissions: { read: ["./inbox"] },
        capabilities: {
          greet: {
            connections: 0,
            inputSchema: { type: "object", properties: { name: { type: "string" } } },
            outputSchema: { type: "object", properties: { text: { type: "string" } } },
          },
        },
      },
    ]);
  });

  test("may use local files, JSON, packages of its folder and zod without installing it", async () => {
    put("node_modules/shout/package.json", '{ "name": "shout", "type": "module", "main": "i.js" }');
    put("node_modules/shout/i.js", "export const mark = '!';");
    put("lib/words.ts", "export const word: string = 'hi';");
    put("data.json", '{ "n": 3 }');
    const { agents } = await load(
      put(
        "a.mts",
        `import { z } from "zod";
import { basename } from "node:path";
import { mark } from "shout";
import data from "./data.json";
import { word } from "./lib/words.ts";
import { capability, defineAgent } from "spectra-orchestrator";
export const a = defineAgent({
  name: "A",
  description: word + mark + data.n + basename(import.meta.filename),
  capabilities: { go: capability({ input: z.any(), output: z.any(), run: async () => null }) },
});`,
      ),
    );
    expect(agents.map(({ description }) => description)).toEqual(["hi!3a.mts"]);
  });

  test("may export lists, and an agent under two names counts once", async () => {
    const { agents, workflows } = await load(
      put(
        "many.js",
        `import { defineAgent, defineWorkflow } from "spectra-orchestrator";
const one = defineAgent({ name: "ONE", capabilities: {} });
export { one, one as alias };
export default [one, defineAgent({ name: "TWO", capabilities: {} })];
export const album = defineWorkflow({ id: "album", tasks: { a: { do: "ONE.x", title: "x" } } });`,
      ),
    );
    expect(agents.map(({ name }) => name)).toEqual(["ONE", "TWO"]);
    expect(workflows.map(({ id }) => id)).toEqual(["album"]);
  });

  test("has one compiled file for each content, which an unchanged module keeps", async () => {
    const file = put("greeter.ts", greeter);
    const first = await load(file);
    expect((await load(file)).url).toBe(first.url);
    put("greeter.ts", greeter.replace("Hello", "Bye"));
    const second = await load(file);
    expect(second.url).not.toBe(first.url);
    for (const { url } of [first, second]) expect(existsSync(new URL(url))).toBe(true);
  });
});

describe("a module that is broken is one line that names the place", () => {
  test.each<[string, string, RegExp]>([
    ["syntax", "export default {\n  a: 1,,\n};", /bad\.ts:2:8: Expected identifier but found ","/],
    [
      "a missing package",
      'import x from "left-pad-of-nobody";\nexport default x;',
      /bad\.ts:1:15: Cannot find the package "left-pad-of-nobody" from .*; install it there/,
    ],
    ["a missing file", 'import "./none.ts";', /bad\.ts:1:8: Could not resolve "\.\/none\.ts"/],
    [
      "an entry that our package has not",
      'import "spectra-orchestrator/secret";',
      /bad\.ts:1:8: "spectra-orchestrator\/secret" is no entry of the package/,
    ],
    [
      "a throw",
      'const n: number = 1;\ntype T = string;\nif (n) throw new Error("no\\nway");',
      /bad\.ts:3:14: no way$/,
    ],
    ["a throw of null", "throw null;", /bad\.ts: it threw null/],
    [
      "a definition with unknown fields",
      `${head}\nexport default defineAgent({ name: "A", colour: "red", capabilities: {} } as never);`,
      /bad\.ts:3:16: Cannot define agent "A": colour is unknown here$/,
    ],
    [
      "a definition with malformed fields",
      `${head}export default defineAgent({ name: "a b", concurrency: 0, capabilities: {} });`,
      /bad\.ts:2:16: Cannot define agent "a b": name: must be upper case.*; concurrency: /,
    ],
    [
      "a schema that is none",
      `${head}export default defineAgent({ name: "A", capabilities: { go: capability({
        input: { type: "string" } as never, output: z.any(), run: async () => null }) } });`,
      /capabilities\.go\.input: must be a schema of zod 4/,
    ],
    [
      "process.exit",
      "console.log('bye');\nprocess.exit(3);",
      /bad\.ts:2:9: it called process\.exit\(3\) while it was loaded/,
    ],
    ["nothing exported", "export const x = 1;", /bad\.ts: it exports no agent and no workflow/],
    ["a wait for ever", "await new Promise(() => {});", /bad\.ts: it waits at its top for/],
    [
      "a malformed workflow",
      'export default { id: "Album", title: "", params: [], maxParallel: 1, statechart: { initial: "a", states: {} }, stages: {} };',
      /bad\.ts: workflow "Album": \/workflow\/id must be lower case/,
    ],
  ])("%s", async (_, text, line) => {
    const error = await load(put("bad.ts", text)).then(
      () => undefined,
      (reason: unknown) => reason as Error,
    );
    expect(error?.name).toBe("ModuleError");
    expect(error?.message).toMatch(line);
    expect(error?.message).not.toContain("\n");
  });

  test("in a helper, by the helper's line", async () => {
    put("_lib.ts", "\nexport const x = (): never => { throw new Error('lib'); };");
    const loading = load(put("bad.ts", 'import { x } from "./_lib.ts";\nexport default x();'));
    await expect(loading).rejects.toThrow(/_lib\.ts:2:39: lib$/);
  });

  test("an endless loop ends with its deadline", async () => {
    const loading = load(put("bad.ts", "for (;;) {}"), { deadlineMs: 1_000 });
    await expect(loading).rejects.toThrow(/bad\.ts: it was not loaded within 1000 ms/);
  });

  test.each([
    ["a program", 'import { execSync } from "node:child_process";\nexecSync("id > MARK");'],
    ["a file", 'import { writeFileSync } from "node:fs";\nwriteFileSync("MARK", "x");'],
    ["the folder above", 'import { readdirSync } from "node:fs";\nreaddirSync("MARK/..");'],
    ["a thread", 'import { Worker } from "node:worker_threads";\nnew Worker("", { eval: true });'],
    ["an end of the node", 'import { pid } from "node:process";\nprocess.kill(pid);'],
  ])("%s at its top is refused, by its line", async (_, text) => {
    const mark = join(folder, "mark");
    const loading = load(put("bad.ts", text.replace("MARK", mark)));
    await expect(loading).rejects.toThrow(/bad\.ts:2:\d+: (?:.*restricted|Requires run access)/i);
    expect(existsSync(mark)).toBe(false);
  });

  test("what was found wrong once is not looked at again until the file changes", async () => {
    const file = put("bad.ts", "for (;;) {}");
    const cacheDir = join(folder, "cache");
    const limits = { deadlineMs: 1_000 };
    const first = await loadModule(file, { cacheDir, inputs: new Set(), limits }).catch(
      (error: unknown) => error as RefusedModule,
    );
    if (!(first instanceof RefusedModule)) throw new Error("a loop was loaded");
    const again = { cacheDir, inputs: new Set<string>(), limits, refused: first };
    await expect(loadModule(file, again)).rejects.toBe(first);
    put("bad.ts", greeter);
    await expect(loadModule(file, again)).resolves.toMatchObject({ file });
  });

  test("taking the heap ends the look, not the process", async () => {
    const text = "const all: string[][] = [];\nfor (;;) all.push(new Array(10_000).fill('x'));";
    const loading = load(put("bad.ts", text), { heapMb: 64, deadlineMs: 60_000 });
    await expect(loading).rejects.toThrow(/bad\.ts: it took more than 64 MB of memory/);
  });
});
