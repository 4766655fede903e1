/**
 * Rows 81 to 95: what a worker gets. Expectations are Deno 2.9's.
 *
 * @module
 */

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { dataUrl, equal, includes, ok, throws } from "../tools.mjs";

export const names = ["read", "write", "net", "env", "sys", "run", "ffi", "import"];

/** Code of a worker that answers descriptors with their states. */
export const states = `onmessage = async ({ data }) => {
  const all = [];
  for (const descriptor of data) all.push((await Deno.permissions.query(descriptor)).state);
  postMessage(all);
}`;

export const withPermissions = (permissions) => ({ deno: { permissions } });
const whole = names.map((name) => ({ name }));
const each = (state) => names.map(() => state);

/** A main program that prints what its worker posts, and ends with it. */
export const printing = (code, permissions, rest = "") => `
  const w = new Worker(${JSON.stringify(dataUrl(code))}, { type: "module", deno: { permissions: ${JSON.stringify(permissions)} } });
  w.onmessage = async (e) => { console.log(JSON.stringify(e.data)); ${rest}; w.terminate(); };`;

const escalates = (code) =>
  `try { ${code}; console.log("none") } catch (e) { console.log(e.name + ": " + e.message, e instanceof Deno.errors.NotCapable) }`;
const escalation = "NotCapable: Can't escalate parent thread permissions true";

export const permissionCases = [
  [
    81,
    "without the option the worker shares its maker's permissions: what it gives up, the maker loses",
    async (t) => {
      for (const given of [undefined, null]) {
        equal(await t.start(states, withPermissions(given)).ask(whole), each("granted"));
      }
      const revoke = `const { state } = await Deno.permissions.revoke({ name: "sys" }); postMessage(state);`;
      const look = `console.log((await Deno.permissions.query({ name: "sys" })).state, (await Deno.permissions.query({ name: "env" })).state)`;
      const { code, lines, err } = await t.program(printing(revoke, undefined, look));
      equal([code, lines], [0, ['"prompt"', "prompt granted"]], err);
    },
  ],
  [
    82,
    "inherit is a copy: neither sees what the other gives up",
    async (t) => {
      const revoke = `await Deno.permissions.revoke({ name: "sys" });
        postMessage((await Deno.permissions.query({ name: "sys" })).state)`;
      const look = `console.log((await Deno.permissions.query({ name: "sys" })).state)`;
      const child = await t.program(printing(revoke, "inherit", look));
      equal([child.code, child.lines], [0, ['"prompt"', "granted"]], child.err);
      const asks = `onmessage = async () => postMessage((await Deno.permissions.query({ name: "sys" })).state); postMessage("up")`;
      const parent = await t.program(
        printing(
          asks,
          "inherit",
          `if (e.data === "up") { await Deno.permissions.revoke({ name: "sys" }); w.postMessage(0); return }`,
        ),
      );
      equal([parent.code, parent.lines], [0, ['"up"', '"granted"']], parent.err);
    },
  ],
  [
    83,
    '"none" and {} grant nothing',
    async (t) => {
      for (const given of ["none", {}]) {
        equal(await t.start(states, withPermissions(given)).ask(whole), each("prompt"));
      }
    },
  ],
  [
    84,
    "one permission that is named brings no other",
    async (t) => {
      for (const name of ["net", "env", "sys", "import"]) {
        equal(
          await t.start(states, withPermissions({ [name]: true })).ask(whole),
          names.map((one) => (one === name ? "granted" : "prompt")),
        );
      }
    },
  ],
  [
    85,
    '"inherit" for single permissions',
    async (t) => {
      const given = withPermissions({ env: "inherit", read: "inherit" });
      equal(
        await t.start(states, given).ask(whole),
        names.map((one) => (one === "env" || one === "read" ? "granted" : "prompt")),
      );
    },
  ],
  [
    86,
    "an empty list grants nothing",
    async (t) => {
      const given = Object.fromEntries(names.map((name) => [name, []]));
      equal(await t.start(states, withPermissions(given)).ask(whole), each("prompt"));
      const mixed = withPermissions({ env: [], read: true });
      equal(
        await t.start(states, mixed).ask(whole),
        names.map((one) => (one === "read" ? "granted" : "prompt")),
      );
    },
  ],
  [
    87,
    "lists for env, net with ports, ffi, read, write, run and import, with URLs",
    async (t) => {
      const { folder, path } = t.file("foo", "");
      const url = pathToFileURL(path);
      const bar = join(folder, "bar");
      const given = {
        env: ["foo"],
        net: ["foo", "bar:8000"],
        ffi: [url, bar],
        read: [url, bar, folder],
        write: [url, bar],
        run: [process.execPath, "unresolved-exec"],
        import: ["foo", "bar:8000"],
      };
      const asked = [
        [{ name: "env" }, "prompt"],
        [{ name: "env", variable: "foo" }, "granted"],
        [{ name: "env", variable: "absent" }, "prompt"],
        [{ name: "net" }, "prompt"],
        [{ name: "net", host: "foo" }, "granted"],
        [{ name: "net", host: "foo:8000" }, "granted"],
        [{ name: "net", host: "bar" }, "prompt"],
        [{ name: "net", host: "bar:8000" }, "granted"],
        [{ name: "ffi" }, "prompt"],
        [{ name: "ffi", path }, "granted"],
        [{ name: "ffi", path: url }, "granted"],
        [{ name: "ffi", path: bar }, "granted"],
        [{ name: "ffi", path: join(folder, "absent") }, "prompt"],
        [{ name: "import" }, "prompt"],
        [{ name: "import", host: "foo" }, "granted"],
        [{ name: "import", host: "foo:8000" }, "granted"],
        [{ name: "import", host: "bar" }, "prompt"],
        [{ name: "import", host: "bar:8000" }, "granted"],
        [{ name: "read" }, "prompt"],
        [{ name: "read", path }, "granted"],
        [{ name: "read", path: join(folder, "any") }, "granted"],
        [{ name: "read", path: "/" }, "prompt"],
        [{ name: "write" }, "prompt"],
        [{ name: "write", path }, "granted"],
        [{ name: "write", path: bar }, "granted"],
        [{ name: "write", path: join(folder, "absent") }, "prompt"],
        [{ name: "run" }, "prompt"],
        [{ name: "run", command: process.execPath }, "granted"],
        [{ name: "run", command: "unresolved-exec" }, "prompt"],
        [{ name: "run", command: "absent" }, "prompt"],
      ];
      // A URL cannot be cloned, so the descriptors go in as code.
      const list = asked
        .map(([one]) => JSON.stringify(one))
        .map((text) =>
          text.replace(/"path":"(file:[^"]*)"/, (_, href) => `"path":new URL("${href}")`),
        );
      const code = `const all = []; for (const one of [${list}]) all.push((await Deno.permissions.query(one)).state); postMessage(all)`;
      equal(
        await t.start(code, withPermissions(given)).next(),
        asked.map(([, state]) => state),
      );
    },
  ],
  [
    88,
    "a folder that is granted holds its subtree, not a sibling with the same beginning",
    async (t) => {
      const { folder } = t.file("dir/in.txt", "inside");
      t.file("dirty.txt", "outside");
      const { ask } = t.start(states, withPermissions({ read: [join(folder, "dir")] }));
      const paths = ["dir", "dir/in.txt", "dir/not/there", "dirty.txt", "di", ""];
      equal(await ask(paths.map((path) => ({ name: "read", path: join(folder, path) }))), [
        "granted",
        "granted",
        "granted",
        "prompt",
        "prompt",
        "prompt",
      ]);
    },
  ],
  [
    89,
    "asking for more than the maker has throws NotCapable at once",
    async (t) => {
      for (const more of [
        { env: true },
        { run: true },
        { env: ["HOME"] },
        { read: ["/etc"] },
        { net: ["x.org"] },
      ]) {
        const make = `new Worker("data:,0", { type: "module", deno: { permissions: ${JSON.stringify(more)} } })`;
        const { lines } = await t.program(escalates(make), {
          allow: { read: ["/tmp"], net: ["x.org:80"] },
        });
        equal(lines, [escalation]);
      }
    },
  ],
  [
    90,
    "a nested worker cannot get more either; it can get less",
    async (t) => {
      const nested = (permissions) =>
        `new Worker(${JSON.stringify(dataUrl(states))}, { type: "module", deno: { permissions: ${permissions} } })`;
      const nester = t.start(
        `onmessage = ({ data }) => {
          try { ${nested("{ env: ['B'] }")}; postMessage("made") } catch (e) { postMessage(e.name + ": " + e.message) }
          const w = ${nested("{ env: ['A'] }")}; w.onmessage = (e) => postMessage(e.data); w.postMessage(data) }`,
        withPermissions({ env: ["A", "C"] }),
      );
      const worker = t.start(states, withPermissions({ env: ["A"] }));
      equal(await worker.ask([{ name: "env", variable: "A" }]), ["granted"]);
      equal(
        await nester.ask(
          ["A", "C"].map((variable) => ({ name: "env", variable })).concat({ name: "net" }),
        ),
        "NotCapable: Can't escalate parent thread permissions",
      );
      equal(await nester.next(), ["granted", "prompt", "prompt"]);
    },
  ],
  [
    91,
    "what the maker is denied stays denied, and asking for it throws",
    async (t) => {
      const deny = { deny: { env: ["DENIED"] }, env: { DENIED: "1", OTHER: "2" } };
      const look = `const all = [];
        for (const variable of ["DENIED", "OTHER"]) all.push((await Deno.permissions.query({ name: "env", variable })).state);
        try { Deno.env.get("DENIED"); all.push("read") } catch (e) { all.push(e.name) }
        postMessage([...all, Deno.env.get("OTHER")])`;
      for (const given of [{ env: true }, "inherit", { env: "inherit" }]) {
        const { lines, err } = await t.program(printing(look, given), deny);
        equal(lines, ['["denied","granted","NotCapable","2"]'], err);
      }
      const asks = `new Worker("data:,0", { type: "module", deno: { permissions: { env: ["DENIED"] } } })`;
      equal((await t.program(escalates(asks), deny)).lines, [escalation]);
    },
  ],
  [
    92,
    "values of a wrong type are TypeErrors with Deno's texts",
    async () => {
      const make = (permissions) => () =>
        new Worker("data:,close()", { type: "module", deno: { permissions } });
      throws(
        make({ env: "foo" }),
        "TypeError",
        '(deno.permissions.env) invalid value: string "foo", expected "inherit" or boolean or string[]',
      );
      throws(
        make("foo"),
        "TypeError",
        'invalid value: string "foo", expected "inherit" or "none" or object',
      );
      throws(make(5), "TypeError");
    },
  ],
  [
    93,
    "an unknown name is ignored",
    async (t) => {
      equal(await t.start(states, withPermissions({ bogus: true })).ask(whole), each("prompt"));
    },
  ],
  [
    94,
    'not granted is "prompt" in a query, and NotCapable in use',
    async (t) => {
      const { path } = t.file("secret.txt", "secret");
      const [state, env, read] = await t
        .start(
          `const all = [(await Deno.permissions.query({ name: "env", variable: "HOME" })).state];
          for (const use of [() => Deno.env.get("HOME"), () => Deno.readTextFileSync(${JSON.stringify(path)})]) {
            try { use(); all.push("done") } catch (e) { all.push(e.name + ": " + e.message, e instanceof Deno.errors.NotCapable) }
          }
          postMessage([all[0], all.slice(1, 3), all.slice(3)])`,
          withPermissions("none"),
        )
        .next();
      equal(state, "prompt");
      equal(env, [
        'NotCapable: Requires env access to "HOME", run again with the --allow-env flag',
        true,
      ]);
      equal(read, [
        `NotCapable: Requires read access to "${path}", run again with the --allow-read flag`,
        true,
      ]);
    },
  ],
  [
    95,
    "deno.permissions needs the flag --unstable-worker-options",
    async (t) => {
      const main = `new Worker("data:,close()", { type: "module", deno: { permissions: "none" } }); console.log("made")`;
      const { code, lines, err } = await t.program(main, { flags: ["stable"] });
      equal([code, lines], [70, []]);
      includes(err, "--unstable-worker-options");
      ok((await t.program(main)).lines[0] === "made", "with the flag it is made");
    },
  ],
];
