import { expect, test } from "vitest";
import { initialTransition, transition } from "xstate";
import type { ChildFacts } from "../../machines/child-table.ts";
import type { ErrorRecord } from "../../machines/error-code.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import type { SupervisorEvent, SupervisorInput } from "../../machines/supervisor-reactions.ts";

const error: ErrorRecord = { name: "Error", message: "boom", code: "BOOM", retryable: true };
const crash = { type: "abnormal", error } as const;

function facts(id: string, change: Partial<ChildFacts> = {}): ChildFacts {
  return { id, restart: "permanent", type: "worker", shutdown: 50, significant: false, ...change };
}

/** Feeds events to the pure machine; collects its effects as words. */
function run(options: Partial<SupervisorInput> = {}) {
  const input: SupervisorInput = {
    strategy: "one_for_one",
    intensity: { maxRestarts: 2, periodMs: 1_000 },
    backoff: { initialMs: 100, maxMs: 1_000 },
    startMode: "ordered",
    startFailure: "fails",
    autoShutdown: "never",
    isDynamic: false,
    children: ["a", "b", "c"].map((id) => facts(id)),
    ...options,
  };
  const effects: string[] = [];
  const note = (actions: readonly { type: string; params?: unknown }[]): void => {
    for (const { type, params } of actions) {
      const { id, delay, event } = (params ?? {}) as {
        id?: string;
        delay?: number;
        event?: { type: string };
      };
      if (type.endsWith("Child")) effects.push(`${type} ${id}`);
      else if (event?.type === "backoff.elapsed") effects.push(`${id} ${delay}`);
    }
  };
  let [snapshot, actions] = initialTransition(supervisorMachine, input);
  note(actions);
  return {
    send: (event: SupervisorEvent) => {
      [snapshot, actions] = transition(supervisorMachine, snapshot, event);
      note(actions);
    },
    started: (...ids: string[]) => {
      for (const id of ids) {
        [snapshot, actions] = transition(supervisorMachine, snapshot, {
          type: "child.started",
          id,
          nowMs: 0,
        });
        note(actions);
      }
    },
    exited: (
      id: string,
      exit: Extract<SupervisorEvent, { type: "child.exited" }>["exit"] = crash,
    ) => {
      const event = { type: "child.exited", id, exit, nowMs: 0, random: 0 } as const;
      [snapshot, actions] = transition(supervisorMachine, snapshot, event);
      note(actions);
    },
    take: () => effects.splice(0),
    state: () => snapshot.value,
    statuses: () => snapshot.context.table.map((row) => `${row.id} ${row.status}`),
    error: () => snapshot.context.error,
  };
}

const normal = { type: "normal" } as const;

test("supervisorMachine starts children one after the other and stops them in reverse", () => {
  const s = run();
  expect(s.take()).toEqual(["startChild a"]);
  s.started("a");
  expect(s.take()).toEqual(["startChild b"]);
  s.started("b", "c");
  expect(s.take()).toEqual(["startChild c"]);
  expect(s.state()).toBe("running");
  s.send({ type: "supervisor.stop" });
  expect(s.take()).toEqual(["stopChild c"]);
  s.exited("c", normal);
  s.exited("b", normal);
  expect(s.take()).toEqual(["stopChild b", "stopChild a"]);
  expect(s.state()).toBe("stopping");
  s.exited("a", normal);
  expect(s.state()).toBe("stopped");
});

test("supervisorMachine starts and stops all at once in parallel mode", () => {
  const s = run({ startMode: "parallel" });
  expect(s.take()).toEqual(["startChild a", "startChild b", "startChild c"]);
  s.started("a", "b", "c");
  s.send({ type: "supervisor.stop" });
  expect(s.take()).toEqual(["stopChild a", "stopChild b", "stopChild c"]);
});

test("one_for_one restarts only the crashed child: at once, then after a backoff that doubles", () => {
  const s = run({ intensity: { maxRestarts: 5, periodMs: 1_000 } });
  s.started("a", "b", "c");
  s.take();
  s.exited("b");
  for (const delayMs of [0, 100, 200, 400]) {
    s.exited("b");
    expect(s.take()).toEqual([`backoff:b ${delayMs}`]);
    s.send({ type: "backoff.elapsed", id: "b" });
    expect(s.take()).toEqual(["startChild b"]);
    s.started("b");
  }
});

test("one_for_all stops the siblings in reverse, then starts all in order", () => {
  const s = run({ strategy: "one_for_all" });
  s.started("a", "b", "c");
  s.take();
  s.exited("b");
  expect(s.take()).toEqual(["backoff:b 0", "stopChild c"]);
  s.exited("c", normal);
  expect(s.take()).toEqual(["stopChild a"]);
  s.send({ type: "backoff.elapsed", id: "b" });
  expect(s.take()).toEqual([]);
  s.exited("a", normal);
  s.started("a", "b", "c");
  expect(s.take()).toEqual(["startChild a", "startChild b", "startChild c"]);
});

test("rest_for_one leaves the children before the crashed one alone", () => {
  const s = run({ strategy: "rest_for_one" });
  s.started("a", "b", "c");
  s.take();
  s.exited("b");
  expect(s.take()).toEqual(["backoff:b 0", "stopChild c"]);
  s.exited("c", normal);
  s.send({ type: "backoff.elapsed", id: "b" });
  s.started("b", "c");
  expect(s.take()).toEqual(["startChild b", "startChild c"]);
  expect(s.statuses()).toEqual(["a running", "b running", "c running"]);
});

test("supervisorMachine gives up at the intensity, stops the others and names the child", () => {
  const s = run();
  s.started("a", "b", "c");
  for (let n = 0; n < 2; n += 1) {
    s.exited("b");
    s.send({ type: "backoff.elapsed", id: "b" });
    s.started("b");
  }
  s.take();
  s.exited("b");
  expect(s.take()).toEqual(["stopChild c"]);
  s.exited("c", normal);
  s.exited("a", normal);
  expect(s.state()).toBe("failed");
  expect(s.error()).toMatchObject({
    code: "RESTART_INTENSITY",
    message: 'Cannot keep "b" running: boom',
    cause: error,
  });
});

test("supervisorMachine fails when a child cannot start at first, and stops the earlier ones", () => {
  const s = run();
  s.started("a");
  s.take();
  s.exited("b");
  expect(s.take()).toEqual(["stopChild a"]);
  s.exited("a", normal);
  expect(s.state()).toBe("failed");
});

test('with startFailure "exits" a child that cannot start at first is restarted', () => {
  const s = run({ startMode: "parallel", startFailure: "exits" });
  s.take();
  s.exited("a");
  s.started("b", "c");
  expect(s.take()).toEqual(["backoff:a 0"]);
  expect(s.state()).toBe("running");
});

test("a transient child that ended normally stays down, a temporary one is forgotten", () => {
  const s = run({
    children: [facts("t", { restart: "transient" }), facts("u", { restart: "temporary" })],
  });
  s.started("t", "u");
  s.exited("t", normal);
  s.exited("u");
  expect(s.statuses()).toEqual(["t ended"]);
  expect(s.state()).toBe("running");
});

test("a child that does not stop in time is killed; a late timer kills nobody", () => {
  const s = run();
  s.started("a", "b", "c");
  s.send({ type: "child.restart", id: "b" });
  s.take();
  s.send({ type: "shutdown.elapsed", id: "b" });
  expect(s.take()).toEqual(["killChild b"]);
  s.exited("b");
  expect(s.take()).toEqual(["startChild b"]);
  s.send({ type: "shutdown.elapsed", id: "b" });
  expect(s.take()).toEqual([]);
});

test("child.stop ends one child until child.restart; neither charges the intensity", () => {
  const s = run();
  s.started("a", "b", "c");
  s.take();
  s.send({ type: "child.stop", id: "b" });
  s.exited("b", normal);
  expect(s.statuses()).toEqual(["a running", "b ended", "c running"]);
  for (let n = 0; n < 4; n += 1) {
    s.send({ type: "child.restart", id: "b" });
    if (n > 0) s.exited("b", normal);
    s.started("b");
  }
  expect(s.statuses()).toEqual(["a running", "b running", "c running"]);
  expect(s.take().filter((effect) => effect === "startChild b")).toHaveLength(4);
});

test("supervisorMachine stops a child that was still starting once it has started", () => {
  const s = run();
  s.send({ type: "supervisor.stop" });
  expect(s.state()).toBe("stopping");
  s.take();
  s.started("a");
  expect(s.take()).toEqual(["stopChild a"]);
  s.exited("a", normal);
  expect(s.state()).toBe("stopped");
});
