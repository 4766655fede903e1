/**
 * Workflows that together use everything that a definition can say, and what drives them to their end.
 *
 * @module
 */

import {
  defineStatechart,
  defineWorkflow,
  item,
  output,
  param,
  type WorkflowDefinition,
} from "../../actors/define-workflow.ts";
import type { AgentOutcome } from "../../actors/ports.ts";
import type { Json } from "../../machines/error-code.ts";
import type { TaskStatus } from "../../runtime/system.ts";
import { soon } from "./soon.ts";
import type { RunAgent, TestHost } from "./workflow-host.ts";

const child = defineWorkflow({
  id: "child",
  params: ["base"],
  tasks: { sum: { do: "WORKER.add", with: { value: param("base") } } },
});

const everything: WorkflowDefinition = {
  ...defineStatechart({
    id: "everything",
    title: "Everything",
    params: ["base", "list"],
    stages: {
      prepare: {
        title: "Prepare",
        tasks: {
          first: { do: "WORKER.add", with: { value: param("base") } },
          flaky: {
            do: "WORKER.fail",
            after: ["first"],
            with: { failures: 1 },
            retry: { attempts: 3, backoff: "exponential", initialMs: 3, jitter: 0.5 },
          },
          never: { do: "WORKER.add", when: { $eq: [param("base"), -1] }, with: { value: 1 } },
          broken: {
            do: "WORKER.fail",
            with: { failures: 9 },
            retry: { attempts: 1 },
            onFailure: { run: "stand" },
          },
          stand: { do: "WORKER.add", with: { value: 5 } },
          optional: {
            do: "WORKER.fail",
            with: { failures: 9 },
            retry: { attempts: 2, initialMs: 1 },
            onFailure: "skip",
          },
        },
      },
      fan: {
        title: "Fan-out",
        tasks: {
          each: { do: "WORKER.add", forEach: param("list"), window: 2, with: { value: item() } },
          merge: { do: "WORKER.add", after: ["each"], with: { value: output("each") } },
        },
      },
      stream: {
        title: "Pipeline",
        items: param("list"),
        buffer: 2,
        tasks: {
          read: { do: "WORKER.add", with: { value: item() } },
          write: { do: "WORKER.add", after: ["read"], with: { value: output("read") } },
        },
      },
      waits: {
        title: "Waits",
        tasks: {
          sub: { workflow: "child", with: { base: param("base") } },
          told: { signal: "go", timeouts: { scheduleToCloseMs: 600_000 } },
          agreed: { approval: { title: "Agreed?" }, after: ["told"] },
          nap: { sleepMs: 400 },
        },
      },
      again: { title: "Again", tasks: { round: { do: "WORKER.add", with: { value: 1 } } } },
    },
  }),
  statechart: {
    initial: "prepare",
    context: { rounds: 0 },
    states: {
      prepare: { invoke: { src: "prepare", id: "prepare", onDone: "both", onError: "failed" } },
      both: {
        type: "parallel",
        states: {
          one: {
            initial: "go",
            states: {
              go: { invoke: { src: "fan", id: "fan", onDone: "end" } },
              end: { type: "final" },
            },
          },
          two: {
            initial: "go",
            states: {
              go: { invoke: { src: "stream", id: "stream", onDone: "end" } },
              end: { type: "final" },
            },
          },
        },
        onDone: "waits",
      },
      waits: {
        after: { 900_000: "failed" },
        invoke: { src: "waits", id: "waits", onDone: "again", onError: "failed" },
      },
      again: {
        entry: {
          type: "set",
          params: { rounds: { $context: true, path: "rounds" } as unknown as Json, seen: true },
        },
        invoke: {
          src: "again",
          id: "again",
          onDone: [
            {
              target: "again",
              reenter: true,
              guard: { type: "when", params: { $ne: [{ $context: true, path: "rounds" }, 2] } },
              actions: { type: "set", params: { rounds: 2 } },
            },
            { target: "completed" },
          ],
          onError: "failed",
        },
      },
      completed: { type: "final" },
      failed: { type: "final" },
    },
  },
  output: { merged: output("merge"), child: output("sub") },
  budget: { coins: { soft: 2, hard: 1_000 }, wallMs: { hard: 3_600_000 } },
};

const saga = defineStatechart({
  id: "saga",
  title: "Saga",
  stages: {
    main: {
      title: "Main",
      tasks: {
        book: { do: "WORKER.add", with: { value: 1 }, compensate: "WORKER.add" },
        pay: { do: "WORKER.add", after: ["book"], with: { value: 2 }, compensate: "WORKER.add" },
        ship: {
          do: "WORKER.fail",
          after: ["pay"],
          with: { failures: 1 },
          retry: { attempts: 1 },
          onFailure: "rollback",
        },
      },
    },
  },
});

export const everyFeature = [child, everything, saga] as const;

/** Fails the first attempts of a task as often as its input says, and spends a coin with each attempt. */
export const featureAgent: RunAgent = async ({ attempt, input }): Promise<AgentOutcome> => {
  const { failures = 0, value = null } = input as { failures?: number; value?: Json };
  if (attempt <= failures) {
    const error = { name: "Error", code: "BOOM", message: `attempt ${attempt}`, retryable: true };
    return { type: "failed", error, spent: { coins: 1 } } as AgentOutcome;
  }
  return { type: "succeeded", output: { value }, spent: { coins: 1 } } as AgentOutcome;
};

export async function post(node: TestHost, id: string, event: Record<string, Json>): Promise<void> {
  const key = `test/${id}/${crypto.randomUUID()}`;
  await node.host.turns.post(id, { by: "test", reason: "a test", ...event }, key);
  node.host.engine.wake();
}

async function untilStatus(node: TestHost, id: string, key: string, status: TaskStatus) {
  await soon(
    async () => (await node.workflows.tasks(id))?.find((task) => task.key === key)?.status,
  ).toBe(status);
}

/** Runs `everything` through a pause, priorities, a signal and an approval; resolves when it has completed. */
export async function driveEverything(node: TestHost, startPaused = false): Promise<string> {
  const by = { actor: "test" };
  const input = { base: 3, list: [1, "zwei", { drei: 3 }, null, 5] };
  const { id } = await node.workflows.start({ workflow: "everything", input, startPaused }, by);
  if (startPaused) await node.workflows.resume(id, by);
  await post(node, id, { type: "run.priority", priority: 5 });
  await untilStatus(node, id, "nap", "running");
  await node.workflows.pause(id, { ...by, reason: "look" });
  await post(node, id, { type: "run.budget", limits: { wallMs: 7_200_000 } });
  await node.workflows.resume(id, by);
  await post(node, id, { type: "run.signal", name: "go", payload: { told: true } });
  await untilStatus(node, id, "agreed", "running");
  await post(node, id, { type: "task.priority", taskKey: "round", priority: 1 });
  await post(node, id, { type: "task.resolve", taskKey: "agreed", as: "succeeded", output: "yes" });
  await node.until(id, "completed");
  return id;
}

/** Runs `saga` into its rollback, retries it, and lets it complete. */
export async function driveSaga(node: TestHost): Promise<string> {
  const { id } = await node.workflows.start({ workflow: "saga" }, { actor: "test" });
  await node.until(id, "failed");
  await node.workflows.retry(id, { actor: "test" });
  await node.until(id, "completed");
  return id;
}
