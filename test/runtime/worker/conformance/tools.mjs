/**
 * What a case may use. Runs in Deno and in Node, so it knows neither vitest nor our sources.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect, isDeepStrictEqual } from "node:util";

export function equal(seen, expected, what = "value") {
  if (!isDeepStrictEqual(seen, expected)) {
    throw new Error(`${what}: saw ${inspect(seen)}, expected ${inspect(expected)}`);
  }
}

export function ok(fact, what) {
  if (!fact) throw new Error(`not true: ${what}`);
}

export function includes(text, part) {
  if (!String(text).includes(part)) {
    throw new Error(`saw ${inspect(text)}, expected it to contain ${inspect(part)}`);
  }
}

/** @returns what `action` threw, after checking its name and a part of its message. */
export function throws(action, name, part = "") {
  try {
    action();
  } catch (error) {
    equal(error.name, name, "name of the error");
    includes(error.message, part);
    return error;
  }
  throw new Error(`nothing was thrown, expected ${name} ${part}`);
}

export function within(promise, what, ms) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export const dataUrl = (code) => `data:text/javascript,${encodeURIComponent(code)}`;

/** Calls `look` after each change until it returns something else than undefined. */
function watched() {
  let waiting = [];
  return {
    changed() {
      const all = waiting;
      waiting = [];
      for (const wake of all) wake();
    },
    async until(look) {
      for (;;) {
        const seen = look();
        if (seen !== undefined) return seen;
        await new Promise((resolve) => waiting.push(resolve));
      }
    },
  };
}

/**
 * @param runtime `deno` (the real one) or `node`; `isolation` says where Node's workers run.
 * @param waitLimitMs how long one awaited thing may take.
 */
export function createTools({ runtime, isolation, preludeUrl, environment, waitLimitMs }) {
  let folder;
  const workers = [];
  const servers = [];

  function file(name, text) {
    folder ??= realpathSync(mkdtempSync(join(tmpdir(), "conformance-")));
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return { path, url: pathToFileURL(path).href, folder };
  }

  /** A worker that nobody listens to yet. */
  function raw(specifier, options = {}) {
    const worker = new Worker(specifier, { type: "module", ...options });
    workers.push(worker);
    return worker;
  }

  /** A worker whose messages and errors can be awaited; its errors do not fail the maker. */
  function load(specifier, options) {
    const worker = raw(specifier, options);
    const messages = [];
    const errors = [];
    const inbox = watched();
    worker.addEventListener("message", (event) => {
      messages.push(event);
      inbox.changed();
    });
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      errors.push(event);
      inbox.changed();
    });
    const nextEvent = inbox.until.bind(undefined, () => {
      if (messages.length === 0 && errors.length > 0) {
        throw new Error(`the worker failed: ${errors[0].message}`);
      }
      return messages.shift();
    });
    const event = () => within(nextEvent(), "message", waitLimitMs);
    return {
      worker,
      messages,
      errors,
      event,
      next: async () => (await event()).data,
      error: () =>
        within(
          inbox.until(() => errors.shift()),
          "error event",
          waitLimitMs,
        ),
      ask: async (data, transfer) => {
        worker.postMessage(data, transfer);
        return (await event()).data;
      },
    };
  }

  const start = (code, options) => load(dataUrl(code), options);

  /** Two workers come and go: time enough for what must not arrive to arrive. */
  async function fence() {
    for (let round = 0; round < 2; round += 1) {
      const echo = start("onmessage = (e) => postMessage(e.data)");
      equal(await echo.ask("fence"), "fence");
      echo.worker.terminate();
    }
  }

  /**
   * Runs a main program in a process of its own.
   * @param options.allow by permission: true, or a list. Default: all of them.
   * @param options.deny by permission: a list.
   * @returns its exit code and what it printed, line by line.
   */
  function program(code, options = {}) {
    const { path } = file(`program-${Math.random()}.mjs`, code);
    // Apart from the modules: Deno lets a program import what is below its working directory.
    const cwd = dirname(file("cwd/empty", "").path);
    const [command, args, env] = commandOf(path, options);
    const run = runtime === "deno" ? runByDeno : runByNode;
    const { ended, kill } = run(command, args, cwd, { ...environment, ...options.env, ...env });
    const bounded = within(ended, "end of a program", options.limitMs ?? waitLimitMs);
    return bounded.finally(kill);
  }

  function commandOf(path, { allow, deny = {}, flags = [], location }) {
    if (runtime === "deno") {
      const grants = allow === undefined ? ["--allow-all"] : flagsOf("allow", allow);
      const place = location === undefined ? [] : [`--location=${location}`];
      const all = ["run", "--no-prompt", "--no-config", "--no-check", "--quiet", "--no-lock"];
      const unstable = flags.includes("stable") ? [] : ["--unstable-worker-options"];
      return [
        Deno.execPath(),
        [...all, ...unstable, ...grants, ...flagsOf("deny", deny), ...place, path],
        { DENO_NO_UPDATE_CHECK: "1" },
      ];
    }
    const setting = { isolation, allow, deny, location, stable: flags.includes("stable") };
    return [
      process.execPath,
      ["--no-warnings", "--import", preludeUrl, path],
      { SPECTRA_CONFORMANCE: JSON.stringify(setting) },
    ];
  }

  /** Serves modules by path on the loopback, and tells each path; resolves to `http://127.0.0.1:port`. */
  async function serve(modules, onRequest = () => undefined) {
    const server = createServer((request, response) => {
      onRequest(request.url);
      const text = modules[request.url];
      response.writeHead(text === undefined ? 404 : 200, { "content-type": "text/javascript" });
      response.end(text ?? "");
    });
    servers.push(server);
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${server.address().port}`;
  }

  async function clean() {
    for (const worker of workers.splice(0)) worker.terminate();
    for (const server of servers.splice(0)) {
      server.closeAllConnections?.();
      server.close();
    }
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    folder = undefined;
  }

  return { runtime, isolation, file, raw, load, start, fence, program, serve, clean };
}

const outcomeOf = (code, out, err) => ({
  code,
  lines: out.split("\n").filter((line) => line !== ""),
  err,
});

function runByNode(command, args, cwd, env) {
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (err += chunk));
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(outcomeOf(code, out, err)));
  });
  return { ended, kill: () => child.kill("SIGKILL") };
}

/** Deno's `spawn` of `node:child_process` adds `--allow-all` to what looks like a call of Deno. */
function runByDeno(command, args, cwd, env) {
  const setting = {
    args,
    cwd,
    env,
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  };
  const child = new Deno.Command(command, setting).spawn();
  const text = (bytes) => new TextDecoder().decode(bytes);
  const ended = child
    .output()
    .then(({ code, stdout, stderr }) => outcomeOf(code, text(stdout), text(stderr)));
  return {
    ended,
    kill: () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended by itself.
      }
    },
  };
}

function flagsOf(kind, permissions) {
  return Object.entries(permissions).map(([name, value]) =>
    value === true ? `--${kind}-${name}` : `--${kind}-${name}=${value.join(",")}`,
  );
}
