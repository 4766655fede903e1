/**
 * Root module of a worker that tries to get out of its permissions.
 * Posts one line per attempt: `[name, "escaped" | "refused" | "absent", detail]`.
 * It is told by messages what to try for: paths and ports that `escape.mjs` has prepared.
 *
 * @module
 */

import { createRequire } from "node:module";

const require = createRequire("/");
const absent = Symbol("this Node has no such thing");
const load = (name) => {
  try {
    return require(name);
  } catch (error) {
    if (["ERR_UNKNOWN_BUILTIN_MODULE", "MODULE_NOT_FOUND"].includes(error.code)) return undefined;
    throw error;
  }
};
const fs = require("node:fs");

/** Settles with what an emitter says first. */
const first = (emitter, ...events) =>
  new Promise((resolve, reject) => {
    emitter.once("error", reject);
    for (const event of events) emitter.once(event, () => resolve(event));
  });

const read = {
  file: ({ secret }) => fs.readFileSync(secret, "utf8"),
  dots: ({ granted, secret }) =>
    fs.readFileSync(`${granted}/../${secret.split("/").at(-1)}`, "utf8"),
  sibling: ({ sibling }) => fs.readFileSync(sibling, "utf8"),
  bytes: ({ secret }) => fs.readFileSync(Buffer.from(secret), "utf8"),
  url: ({ secret }) => fs.readFileSync(new URL(`file://${secret}`), "utf8"),
  promise: ({ secret }) => fs.promises.readFile(secret, "utf8"),
  stream: async ({ secret }) => first(fs.createReadStream(secret), "data"),
  blob: async ({ secret }) => (fs.openAsBlob ? (await fs.openAsBlob(secret)).text() : absent),
  copy: ({ secret, writable }) => fs.copyFileSync(secret, `${writable}/copy`),
  link: ({ secret, writable }) => fs.linkSync(secret, `${writable}/hard`),
  symlink: ({ secret, writable }) => {
    fs.symlinkSync(secret, `${writable}/soft`);
    return fs.readFileSync(`${writable}/soft`, "utf8");
  },
  relativeSymlink: ({ secret, writable }) => {
    fs.symlinkSync(`../${secret.split("/").at(-1)}`, `${writable}/relative`);
    return fs.readFileSync(`${writable}/relative`, "utf8");
  },
  rename: ({ secret, writable }) => fs.renameSync(secret, `${writable}/renamed`),
  listing: ({ folder }) => fs.readdirSync(folder).join(),
  stat: ({ secret }) => fs.statSync(secret).size,
  watch: ({ secret }) => fs.watch(secret).close(),
  cwd: () => fs.readdirSync(process.cwd()).join(),
  cwdFile: ({ cwdFile }) => fs.readFileSync(cwdFile, "utf8"),
  cwdRelative: ({ cwdFile }) => fs.readFileSync(cwdFile.split("/").at(-1), "utf8"),
  environ: () => fs.readFileSync("/proc/self/environ", "utf8"),
  memory: () => fs.closeSync(fs.openSync("/proc/self/mem", "r")),
  descriptorPath: ({ descriptor }) => fs.readFileSync(`/proc/self/fd/${descriptor}`, "utf8"),
  sqlite: ({ database }) => {
    const sqlite = load("node:sqlite");
    return sqlite ? new sqlite.DatabaseSync(database).prepare("select 1").all() : absent;
  },
  import: async ({ module }) => JSON.stringify(await import(module)),
  require: ({ module }) => require(module.replace("file://", "").replace(".mjs", ".cjs")),
  json: ({ json }) => require(json),
  loadEnvFile: ({ secret }) => (process.loadEnvFile ? process.loadEnvFile(secret) : absent),
  nestedWorker: ({ secret }) => {
    const { Worker } = require("node:worker_threads");
    const code = `require("fs").readFileSync(${JSON.stringify(secret)})`;
    return first(new Worker(code, { eval: true, execArgv: [], env: {} }), "exit");
  },
  moduleRegister: async ({ secret }) => {
    const { register } = require("node:module");
    const code = `import fs from "node:fs"; fs.readFileSync(${JSON.stringify(secret)}); export {};`;
    register(`data:text/javascript,${encodeURIComponent(code)}`);
  },
  binding: () => process.binding("fs"),
  linkedBinding: () => process._linkedBinding("fs"),
  inspector: () => new (require("node:inspector").Session)().connect(),
  inspectorOpen: () => require("node:inspector").open(0),
  wasi: ({ folder }) =>
    new (require("node:wasi").WASI)({ version: "preview1", preopens: { "/": folder } }),
};

const write = {
  file: ({ folder }) => fs.writeFileSync(`${folder}/new`, "x"),
  append: ({ secret }) => fs.appendFileSync(secret, "x"),
  remove: ({ secret }) => fs.rmSync(secret),
  folder: ({ folder }) => fs.mkdirSync(`${folder}/made`),
  temporary: ({ folder }) => fs.mkdtempSync(`${folder}/tmp-`),
  moveOut: ({ folder, writable }) => {
    fs.writeFileSync(`${writable}/inside`, "x");
    fs.renameSync(`${writable}/inside`, `${folder}/outside`);
  },
  copyOut: ({ folder, writable }) => {
    fs.writeFileSync(`${writable}/copied`, "x");
    fs.copyFileSync(`${writable}/copied`, `${folder}/copied`);
  },
  chmod: ({ secret }) => fs.chmodSync(secret, 0o777),
  memory: () => fs.closeSync(fs.openSync("/proc/self/mem", "r+")),
  report: ({ folder }) =>
    process.report ? process.report.writeReport(`${folder}/report.json`) : absent,
  heapSnapshot: ({ folder }) => require("node:v8").writeHeapSnapshot(`${folder}/heap`),
  sqlite: ({ folder }) => {
    const sqlite = load("node:sqlite");
    return sqlite ? new sqlite.DatabaseSync(`${folder}/new.db`).exec("create table t(a)") : absent;
  },
  compileCache: ({ folder }) => {
    const { enableCompileCache, flushCompileCache, constants } = require("node:module");
    if (!flushCompileCache) return absent;
    const { status, message } = enableCompileCache(`${folder}/cache`);
    flushCompileCache();
    const { ENABLED, ALREADY_ENABLED } = constants.compileCacheStatus;
    if (status !== ENABLED && status !== ALREADY_ENABLED) throw new Error(message ?? "not enabled");
    return "enabled";
  },
};

const http = (url) =>
  new Promise((resolve, reject) => {
    require("node:http")
      .get(url, (response) => resolve(response.statusCode))
      .once("error", reject);
  });

const net = {
  connect: ({ port }) => first(require("node:net").connect(port, "127.0.0.1"), "connect"),
  socket: ({ port }) =>
    first(new (require("node:net").Socket)().connect({ port, host: "127.0.0.1" }), "connect"),
  unix: ({ socket }) => first(require("node:net").connect(socket), "connect"),
  listen: () => first(require("node:net").createServer().listen(0, "127.0.0.1"), "listening"),
  http: ({ port }) => http(`http://127.0.0.1:${port}/`),
  fetch: async ({ port }) => {
    try {
      return (await fetch(`http://127.0.0.1:${port}/`)).status;
    } catch (error) {
      throw error.cause ?? error;
    }
  },
  http2: async ({ port }) => {
    const session = require("node:http2").connect(`http://127.0.0.1:${port}`);
    await first(session, "connect");
    // A session says so for any socket that is not connecting.
    const { remotePort } = session.socket;
    session.once("error", () => undefined);
    session.destroy();
    if (remotePort === undefined) throw new Error("the socket has no peer");
    return remotePort;
  },
  tls: ({ port }) => {
    const socket = require("node:tls").connect({ port, host: "127.0.0.1" });
    // The server speaks no TLS: the TCP connection is what counts.
    return first(socket, "connect");
  },
  udp: ({ port }) =>
    new Promise((resolve, reject) => {
      const socket = require("node:dgram").createSocket("udp4");
      socket.once("error", reject);
      socket.send("x", port, "127.0.0.1", (error) => (error ? reject(error) : resolve("sent")));
    }),
  udpBind: () =>
    new Promise((resolve, reject) => {
      const socket = require("node:dgram").createSocket("udp4");
      socket.once("error", reject);
      socket.bind(0, "127.0.0.1", () => resolve("bound"));
    }),
  lookup: () => require("node:dns").promises.lookup("localhost"),
  webSocket: ({ port }) =>
    typeof WebSocket === "undefined"
      ? absent
      : new Promise((resolve, reject) => {
          const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
          socket.onopen = () => resolve("open");
          socket.onerror = (event) => reject(event.error ?? new Error(event.message || "refused"));
        }),
  remoteImport: ({ port }) => import(`http://127.0.0.1:${port}/module.mjs`),
};

const env = {
  get: () => process.env.SPECTRA_SECRET,
  has: () => "SPECTRA_SECRET" in process.env,
  descriptor: () => Object.getOwnPropertyDescriptor(process.env, "SPECTRA_SECRET")?.value,
  keys: () => (Object.keys(process.env).includes("SPECTRA_SECRET") ? "listed" : undefined),
  deno: () => Deno.env.get("SPECTRA_SECRET"),
  set: () => {
    process.env.SPECTRA_SECRET = "x";
    return "set";
  },
  report: () => process.report?.getReport()?.environmentVariables?.SPECTRA_SECRET,
};

const os = () => require("node:os");
const sys = {
  hostname: () => os().hostname(),
  release: () => os().release(),
  cpus: () => os().cpus().length,
  memory: () => os().totalmem(),
  user: () => os().userInfo().username,
  uid: () => process.getuid?.() ?? absent,
  import: async () => (await import("node:os")).hostname(),
  report: () => process.report?.getReport()?.header?.host,
};

const run = {
  spawnSync: () => require("node:child_process").spawnSync("/bin/true").error ?? "ran",
  spawn: () => first(require("node:child_process").spawn("/bin/true"), "exit"),
  exec: () => require("node:child_process").execSync("true").length,
  fork: ({ module }) =>
    first(require("node:child_process").fork(module.replace("file://", "")), "exit"),
  cluster: () => first(require("node:cluster").fork(), "exit"),
  kill: () => process.kill(process.pid, 0),
  execve: () => (process.execve ? process.execve("/bin/true", ["true"], {}) : absent),
  flags: () => {
    require("node:v8").setFlagsFromString("--no-flush-bytecode");
    return "set";
  },
};

const ffi = {
  dlopen: ({ addon }) => process.dlopen({ exports: {} }, addon),
  require: ({ addon }) => require(addon),
  ffi: () => {
    const library = load("node:ffi");
    return library ? Object.keys(library.dlopen(null, {})) : absent;
  },
  engine: ({ addon }) => require("node:crypto").setEngine(addon),
};

const childProcess = () => require("node:child_process");
/** What a program wrote, when it is what the attempt wanted. */
const wrote = ({ stdout, error }, wanted) => {
  if (error) throw error;
  const text = String(stdout).trim();
  return wanted(text) ? text : undefined;
};

/** The maker of a worker with a list of programs (`tool` and `printenv`) is asked for more. */
const broker = {
  symlink: ({ evil }) =>
    wrote(childProcess().spawnSync(`${evil}/link`, ["evil"]), Boolean) ?? false,
  path: ({ evil }) =>
    wrote(childProcess().spawnSync("tool", ["x"], { env: { PATH: evil } }), (t) => t === "evil") ??
    false,
  childPath: ({ evil }) =>
    wrote(childProcess().spawnSync("printenv", ["PATH"], { env: { PATH: evil } }), (t) =>
      t.includes(evil),
    ) ?? false,
  relative: ({ evil }) =>
    wrote(childProcess().spawnSync("./tool", [], { cwd: evil }), Boolean) ?? false,
  dots: ({ tool }) => wrote(childProcess().spawnSync(`${tool}/../../evil/tool`), Boolean) ?? false,
  shell: ({ tool }) => childProcess().spawnSync(`${tool}; echo`, { shell: true }).stdout ?? false,
  metacharacters: ({ secret }) =>
    wrote(childProcess().spawnSync("tool", [`$(cat ${secret})`, ";", "`id`"]), (t) =>
      /^secret|uid=/.test(t),
    ) ?? false,
  loader: () =>
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "NODE_OPTIONS", "BASH_ENV"].find((name) =>
      wrote(childProcess().spawnSync("printenv", [name], { env: { [name]: "/x.so" } }), Boolean),
    ) ?? false,
  ungrantedVariable: () =>
    wrote(
      childProcess().spawnSync("printenv", ["SPECTRA_SECRET"], { env: { OTHER: "1" } }),
      Boolean,
    ) ?? false,
  liveLoader: async () => {
    const child = childProcess().spawn("printenv", ["LD_PRELOAD"], { env: { LD_PRELOAD: "/x" } });
    let text = "";
    child.stdout.on("data", (bytes) => {
      text += bytes;
    });
    await first(child, "close");
    return text === "" ? false : text;
  },
  folder: ({ evil }) => childProcess().spawnSync("tool", [], { cwd: evil }).status === 0,
  writable: ({ writable }) => wrote(childProcess().spawnSync(`${writable}/tool`), Boolean) ?? false,
  forged: async ({ secret }) => {
    const { MessageChannel, MessagePort } = require("node:worker_threads");
    const { postMessage } = MessagePort.prototype;
    let port;
    MessagePort.prototype.postMessage = function (frame, ...rest) {
      if (frame?.type === "request") port = this;
      return Reflect.apply(postMessage, this, [frame, ...rest]);
    };
    childProcess().spawnSync("tool");
    MessagePort.prototype.postMessage = postMessage;
    const all = { granted: "all", denied: [] };
    const names = ["read", "write", "net", "env", "sys", "run", "ffi", "import"];
    const permissions = Object.fromEntries(names.map((name) => [name, all]));
    for (const junk of [null, 1, {}, { type: "request" }, { type: "narrow", permissions }]) {
      port.postMessage(junk);
    }
    const ask = (service, request) => {
      const { port1, port2 } = new MessageChannel();
      const wake = new SharedArrayBuffer(4);
      port.postMessage({ type: "request", service, request, channel: port2, wake }, [port2]);
      return new Promise((resolve) => {
        port1.once("message", resolve);
        port1.once("close", () => resolve({ type: "closed" }));
      });
    };
    const cat = { file: "/bin/cat", args: [secret], env: {}, sync: {} };
    const odd = { ...cat, file: "tool", sync: { killSignal: "SIGNONE", maxBytes: Number.NaN } };
    const answers = [
      await ask("run", cat),
      await ask("run", { ...cat, file: ["/bin/cat"] }),
      await ask("run", odd),
      await ask("run", null),
      await ask("constructor", cat),
      await ask("__proto__", cat),
    ];
    const got = answers.find(({ type }) => type !== "refused" && type !== "closed");
    return got === undefined ? false : JSON.stringify(got);
  },
};

/** Ways around the guards: what is called soft is left this way. */
const around = {
  net: () => {
    const handle = require("node:net")._createServerHandle("127.0.0.1", 0, 4);
    if (typeof handle !== "object") throw new Error(`error ${handle}`);
    handle.close();
    return "opened a port";
  },
  sys: () => process.constrainedMemory(),
  run: () => {
    const { some } = Array.prototype;
    // Every list that is not empty then has a match.
    Array.prototype.some = function () {
      return this.length > 0;
    };
    try {
      const { error } = require("node:child_process").spawnSync("/bin/true");
      if (error) throw error;
      return "ran";
    } finally {
      Array.prototype.some = some;
    }
  },
  read: ({ secret }) => {
    const { stdout, error } = require("node:child_process").spawnSync("/bin/cat", [secret]);
    if (error) throw error;
    return String(stdout);
  },
  env: () => {
    const found = /SPECTRA_SECRET=[^\0]*/.exec(fs.readFileSync("/proc/self/environ", "latin1"));
    if (found === null) throw new Error("not there");
    return found[0];
  },
};

/** What holds a permission to paths only: stated in docs/permissions.md. */
const known = {
  linkInGrantedFolder: ({ link }) => fs.readFileSync(link, "utf8"),
  openDescriptor: ({ descriptor }) => {
    const bytes = Buffer.alloc(6);
    fs.readSync(descriptor, bytes, 0, 6, 0);
    return String(bytes);
  },
};

/** For a worker that may read all but some. */
const denied = {
  file: read.file,
  stream: read.stream,
  dots: read.dots,
  environ: read.environ,
  memory: read.memory,
  copy: ({ secret }) => fs.copyFileSync(secret, "/dev/null"),
};

const attempts = { broker, denied, read, write, net, env, sys, run, ffi, around, known };
const attemptTimeoutMs = 10_000;

async function attempt(task, target) {
  let timer;
  const slow = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer")), attemptTimeoutMs);
  });
  try {
    const got = await Promise.race([task(target), slow]);
    if (got === absent) return ["absent", ""];
    if (got instanceof Error) throw got;
    // Nothing thrown and nothing got.
    if (got === undefined && task.length === 0) return ["refused", "undefined"];
    if (got === false) return ["refused", "false"];
    return ["escaped", String(got).slice(0, 80)];
  } catch (error) {
    return [
      "refused",
      `${error.code ?? error.name}: ${error.message}`.split("\n")[0].slice(0, 160),
    ];
  } finally {
    clearTimeout(timer);
  }
}

/** `names` are groups, or attempts of a group: `read.file`. */
self.onmessage = async ({ data: { names, target } }) => {
  for (const name of names) {
    const [group, only] = name.split(".");
    for (const [how, task] of Object.entries(attempts[group])) {
      if (only !== undefined && how !== only) continue;
      self.postMessage([`${group}.${how}`, ...(await attempt(task, target))]);
    }
  }
  self.postMessage("done");
};
