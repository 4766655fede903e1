/**
 * What every backend of the job queue must do; each backend's own test file runs this suite.
 *
 * @module
 */

import { describe, expect, test } from "vitest";
import {
  type JobQueue,
  openJobQueue,
  type QueueBackend,
  type TaskJob,
} from "../../runtime/queue/job-queue.ts";
import { bundle, startChild } from "./child.ts";
import { soon } from "./soon.ts";

/** A lapsed lock is found by two sweeps of a second each, and the machine may be busy. */
const takeOverLimitMs = 8_000;

interface OpenQueue extends JobQueue, AsyncDisposable {}

let queues = 0;

function uniqueName(): string {
  queues += 1;
  return `conformance-${process.pid}-${queues}`;
}

async function open(
  backend: QueueBackend,
  process: (job: TaskJob) => Promise<void>,
  options: { readonly name?: string; readonly concurrency?: number } = {},
): Promise<OpenQueue> {
  const silent = () => undefined;
  const queue = await openJobQueue({
    name: options.name ?? uniqueName(),
    backend,
    concurrency: options.concurrency ?? 4,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    process,
  });
  return { ...queue, [Symbol.asyncDispose]: queue.close };
}

function job(taskKey: string, priority = 3, attempt = 1): TaskJob & { priority: number } {
  return { workflowId: "run", taskKey, attempt, priority };
}

/** Opened by hand; `passed` is what waits for it. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  let release: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { passed, open: release };
}

export function describeJobQueue(kind: QueueBackend["type"], backend: () => QueueBackend): void {
  describe(`openJobQueue() on ${kind}`, () => {
    test("hands every job over once, with what it names", async () => {
      const seen: TaskJob[] = [];
      await using queue = await open(backend(), async (one) => void seen.push(one));
      expect(queue.kind).toBe(kind);
      const jobs = Array.from({ length: 100 }, (_, index) => job(`t${index}`));
      await queue.add(jobs.slice(0, 60));
      await queue.add(jobs.slice(60));
      await soon(() => seen.length).toBe(100);
      await queue.close();
      const keys = seen.map(({ taskKey }) => taskKey);
      expect(new Set(keys).size).toBe(100);
      expect(keys).toHaveLength(100);
      expect(seen.find(({ taskKey }) => taskKey === "t7")).toEqual({
        workflowId: "run",
        taskKey: "t7",
        attempt: 1,
      });
    });

    test("takes the same attempt twice as one job, and the next attempt as another", async () => {
      const seen: string[] = [];
      const held = gate();
      await using queue = await open(
        backend(),
        async ({ taskKey, attempt }) => {
          if (taskKey === "first") await held.passed;
          else seen.push(`${taskKey}/${attempt}`);
        },
        { concurrency: 1 },
      );
      await queue.add([job("first")]);
      await queue.add([job("twice"), job("twice")]);
      await queue.add([job("twice"), job("twice", 3, 2), job("first")]);
      held.open();
      await queue.add([job("end", 1)]);
      await soon(() => seen.at(-1)).toBe("end/1");
      expect(seen).toEqual(["twice/1", "twice/2", "end/1"]);
    });

    test("takes a job again that was added after its end: the engine judges, not the queue", async () => {
      let runs = 0;
      await using queue = await open(backend(), async () => void (runs += 1));
      await queue.add([job("again")]);
      await soon(() => runs).toBe(1);
      await soon(async () => {
        await queue.add([job("again")]);
        return runs;
      }).toBeGreaterThan(1);
    });

    test("hands the more urgent over first, and equals in the order of their arrival", async () => {
      const seen: string[] = [];
      const held = gate();
      const taken = gate();
      await using queue = await open(
        backend(),
        async ({ taskKey }) => {
          if (taskKey !== "first") return void seen.push(taskKey);
          taken.open();
          await held.passed;
        },
        { concurrency: 1 },
      );
      await queue.add([job("first")]);
      await taken.passed;
      await queue.add([job("background", 1), job("normal", 3), job("critical", 5)]);
      await queue.add([job("normal too", 3), job("high", 4), job("critical too", 5)]);
      held.open();
      await soon(() => seen.length).toBe(6);
      expect(seen).toEqual([
        "critical",
        "critical too",
        "high",
        "normal",
        "normal too",
        "background",
      ]);
    });

    test("goes on after a job that failed, and does not hand it over again", async () => {
      const seen: string[] = [];
      await using queue = await open(
        backend(),
        async ({ taskKey }) => {
          seen.push(taskKey);
          if (taskKey === "bad") throw new Error("boom");
        },
        { concurrency: 1 },
      );
      await queue.add([job("bad"), job("good")]);
      await soon(() => seen.at(-1)).toBe("good");
      expect(seen).toEqual(["bad", "good"]);
    });

    test("close waits for the jobs in hand, and takes no other", async () => {
      const seen: string[] = [];
      const held = gate();
      const taken = gate();
      await using queue = await open(
        backend(),
        async ({ taskKey }) => {
          taken.open();
          await held.passed;
          seen.push(taskKey);
        },
        { concurrency: 1 },
      );
      await queue.add([job("in hand")]);
      await taken.passed;
      await queue.add([job("waits")]);
      const closed = queue.close().then(() => seen.push("closed"));
      held.open();
      await closed;
      expect(seen).toEqual(["in hand", "closed"]);
    });

    test("gives the job of a killed process to another one, soon", async () => {
      const name = uniqueName();
      const script = await bundle("runtime/queue/programs/hold-job.ts");
      const child = startChild(script, [name, JSON.stringify(backend())]);
      expect(await child.next()).toEqual({ open: true });
      const seen: TaskJob[] = [];
      const held = gate();
      const take = async (one: TaskJob) => {
        await held.passed;
        seen.push(one);
      };
      await using queue = await open(backend(), take, { name, concurrency: 1 });
      // This process takes one and waits, so that the child gets one, too.
      await queue.add(Array.from({ length: 20 }, (_, index) => job(`t${index}`)));
      const taken = await child.next();
      process.kill(child.pid, "SIGKILL");
      await child.ended;
      held.open();
      await soon(
        () => seen.some(({ taskKey }) => taskKey === taken["taskKey"]),
        takeOverLimitMs,
      ).toBe(true);
      await soon(() => new Set(seen.map((one) => one.taskKey)).size).toBe(20);
      expect(seen).toHaveLength(20);
    });
  });
}
