/** OTP's main cases with real processes as children: what exits, exits, and what is killed is gone. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import type { ChildSpec, RunningChild } from "../../../actors/tree/child-spec.ts";
import { createDirectory } from "../../../actors/tree/directory.ts";
import { type SupervisorOptions, startSupervisor } from "../../../actors/tree/supervisor.ts";
import type { ChildExit } from "../../../machines/child-table.ts";
import { quietLog } from "../../support/nursery.ts";
import { soon } from "../../support/soon.ts";

/** Says that it is ready, then lives until a signal; `deaf` ignores SIGTERM. */
const program = (deaf: boolean): string => `
  process.on("SIGTERM", () => { if (!${deaf}) process.exit(0); });
  setInterval(() => undefined, 1_000);
  process.stdout.write("ready\\n");`;

function house() {
  const processes = new Map<string, ChildProcess>();
  const started: string[] = [];
  const spec = (id: string, options: Partial<ChildSpec> & { deaf?: boolean } = {}): ChildSpec => ({
    id,
    start: async (): Promise<RunningChild> => {
      const child = spawn(process.execPath, ["-e", program(options.deaf === true)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(child.stdout, "data");
      started.push(id);
      processes.set(id, child);
      const exited = once(child, "exit").then(([code, signal]): ChildExit => {
        if (code === 0) return { type: "normal" };
        const message = `ended with ${String(signal ?? code)}`;
        const error = { name: "Exit", message, code: String(signal ?? code), retryable: true };
        return { type: "abnormal", error };
      });
      const end = (signal: NodeJS.Signals) => async () => {
        child.kill(signal);
        await exited;
      };
      return { exited, stop: end("SIGTERM"), kill: end("SIGKILL") };
    },
    ...options,
  });
  const supervise = (children: readonly ChildSpec[], options: Partial<SupervisorOptions> = {}) =>
    startSupervisor({
      id: "root",
      strategy: "one_for_one",
      backoff: { initialMs: 1, maxMs: 10 },
      children,
      clock: { now: () => new Date(), monotonicMs: () => performance.now() },
      log: quietLog,
      ...options,
    });
  const alive = () =>
    [...processes.values()].filter((child) => child.exitCode === null && child.signalCode === null);
  return {
    spec,
    supervise,
    started,
    alive,
    pid: (id: string) => processes.get(id)?.pid ?? 0,
    signal: (id: string, signal: NodeJS.Signals) => processes.get(id)?.kill(signal),
  };
}

test("rest_for_one: a process that is killed takes those after it along, each a new one", async () => {
  const h = house();
  const supervisor = await h.supervise(
    ["a", "b", "c"].map((id) => h.spec(id)),
    {
      strategy: "rest_for_one",
    },
  );
  const [a, b, c] = ["a", "b", "c"].map(h.pid);
  h.signal("b", "SIGKILL");
  await soon(() => h.started.length).toBe(5);
  await soon(() => supervisor.countChildren().active).toBe(3);
  expect(h.started).toEqual(["a", "b", "c", "b", "c"]);
  expect(h.pid("a")).toBe(a);
  expect(new Set([a, b, c, h.pid("b"), h.pid("c")]).size).toBe(5);
  expect(h.alive()).toHaveLength(3);
  await supervisor.stop();
  expect(h.alive()).toEqual([]);
}, 60_000);

test("sup_stop_timeout and brutal_kill: deaf processes are gone all the same", async () => {
  const h = house();
  const supervisor = await h.supervise([
    h.spec("deaf", { deaf: true, shutdownMs: 200 }),
    h.spec("brutal", { deaf: true, shutdownMs: "brutal_kill" }),
    h.spec("good"),
  ]);
  await supervisor.stop();
  expect(h.alive()).toEqual([]);
}, 60_000);

test("one_for_all_escalation: at the intensity every process ends, and the reason is told", async () => {
  const h = house();
  const supervisor = await h.supervise([h.spec("a"), h.spec("b")], {
    strategy: "one_for_all",
    intensity: { maxRestarts: 1, periodMs: 60_000 },
  });
  h.signal("b", "SIGKILL");
  await soon(() => h.started.length).toBe(4);
  await soon(() => supervisor.countChildren().active).toBe(2);
  h.signal("a", "SIGKILL");
  expect(await supervisor.exited).toMatchObject({
    type: "shutdown",
    error: { code: "RESTART_INTENSITY", cause: { code: "SIGKILL" } },
  });
  expect(h.alive()).toEqual([]);
}, 60_000);

test("link() between processes: the death of one is the death of the other, and both come back", async () => {
  const h = house();
  const directory = createDirectory();
  const supervisor = await h.supervise([h.spec("a"), h.spec("b")], { tree: { directory } });
  directory.link("/root/a", "/root/b");
  h.signal("a", "SIGKILL");
  await soon(() => h.started.length).toBe(4);
  await soon(() => supervisor.countChildren().active).toBe(2);
  expect(h.alive()).toHaveLength(2);
  await supervisor.stop();
}, 60_000);
