import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defineStatechart, type WorkflowDefinition } from "../../../actors/define-workflow.ts";
import type { Json } from "../../../machines/error-code.ts";
import { refsOf } from "../../../machines/run/values.ts";
import { compileDefinition } from "../../../runtime/engine/compile-definition.ts";
import { checkDefinition } from "../../../runtime/engine/definition.ts";
import { parseDefinition } from "../../../runtime/engine/parse-definition.ts";
import { RequestError } from "../../../runtime/system.ts";
import { worker } from "../../support/workflow-host.ts";

type Input = Readonly<Record<string, Json>>;

function findAgent(name: string) {
  return name === worker.name ? worker : undefined;
}

/** `pointer detail` of each mistake; empty when there is none. */
function mistakes(body: Json, input: Input = {}): string[] {
  try {
    checkDefinition(parseDefinition(body), input, findAgent);
    return [];
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    expect(error.code).toBe("INVALID");
    expect(error.fields.length).toBeGreaterThan(0);
    return error.fields.map(({ pointer, detail }) => `${pointer} ${detail}`);
  }
}

const add = { do: "WORKER.add" };

function dag(tasks: Json, more: Readonly<Record<string, Json>> = {}): Json {
  return { id: "dag", tasks, ...more };
}

/** Two stages in a chain, whose chart a test may change. */
function staged(change: Readonly<Record<string, Json>> = {}): Json {
  const task = { ...add, title: "t" };
  const whole = defineStatechart({
    id: "staged",
    title: "Staged",
    stages: {
      one: { title: "One", tasks: { a: task } },
      two: { title: "Two", tasks: { b: { ...task, after: ["a"] } } },
    },
  }) as unknown as Record<string, Json>;
  return { ...whole, ...change };
}

function invoke(src: string, onDone: string, onError = "failed"): Json {
  return { invoke: { src, id: src, onDone, onError } };
}

function chart(initial: string, states: Readonly<Record<string, Json>>): Json {
  return staged({ statechart: { initial, states } });
}

const ends = { completed: { type: "final" }, failed: { type: "final" } };

describe("parseDefinition()", () => {
  test("fills what the short form leaves out", () => {
    const definition = parseDefinition(dag({ a: add }));
    expect(definition).toMatchObject({ id: "dag", title: "dag", params: [], maxParallel: 8 });
    expect(definition.stages["main"]?.tasks["a"]).toEqual({ ...add, title: "a" });
    expect(mistakes(dag({ a: add }))).toEqual([]);
  });

  test("takes the whole form as it is", () => {
    expect(parseDefinition(staged())).toEqual(staged());
    expect(mistakes(staged())).toEqual([]);
  });

  test.each([
    ["no object", 7, "/workflow"],
    ["unknown field", dag({ a: { ...add, retries: 3 } }), "/workflow/tasks/a"],
    ["action without agent", dag({ a: { do: "add" } }), "/workflow/tasks/a/do"],
    ["priority 6", dag({ a: { ...add, priority: 6 } }), "/workflow/tasks/a/priority"],
    [
      "no attempts",
      dag({ a: { ...add, retry: { attempts: 0 } } }),
      "/workflow/tasks/a/retry/attempts",
    ],
    [
      "no time",
      dag({ a: { ...add, timeouts: { startToCloseMs: 0 } } }),
      "/workflow/tasks/a/timeouts/startToCloseMs",
    ],
    ["id in capitals", dag({ a: add }, { id: "DAG" }), "/workflow/id"],
    ["title with U+0000", dag({ a: { ...add, title: "\u0000" } }), "/workflow/tasks/a/title"],
    ["queue separator in a key", dag({ "build:all": add }), "/workflow/tasks/build:all"],
    ["pointer separator in a key", dag({ "a/b": add }), "/workflow/tasks/a~1b"],
    ["control character in a key", dag({ "a\u0000": add }), "/workflow/tasks/a\u0000"],
    [
      "state name that XState would split",
      chart("x.y", { "x.y": invoke("one", "completed"), ...ends }),
      "/workflow/statechart/states/x.y",
    ],
    ["no parallelism", dag({ a: add }, { maxParallel: 0 }), "/workflow/maxParallel"],
  ] as const)("points at the mistake: %s", (_, body, pointer) => {
    expect(mistakes(body as Json).map((line) => line.split(" ")[0])).toEqual([pointer]);
  });
});

describe("checkDefinition()", () => {
  const actions = Object.keys(worker.capabilities).join(", ");
  const main = "/workflow/stages/main/tasks";
  test.each([
    ["unknown agent", dag({ a: { do: "NOBODY.add" } }), `${main}/a/do names no agent: "NOBODY"`],
    [
      "unknown action",
      dag({ a: { do: "WORKER.fly" } }),
      `${main}/a/do WORKER has no action "fly"; it has ${actions}`,
    ],
    [
      "an action that every object has",
      dag({ a: { do: "WORKER.constructor" } }),
      `${main}/a/do WORKER has no action "constructor"; it has ${actions}`,
    ],
    [
      "unknown dependency",
      dag({ a: { ...add, after: ["ghost"] } }),
      `${main}/a/after names no task: "ghost"`,
    ],
    [
      "unknown param",
      dag({ a: { ...add, with: { x: { deep: [{ $param: "p" }] } } } }),
      `${main}/a/with reads no input of the workflow: "p"`,
    ],
    [
      "unknown output",
      dag({ a: { ...add, with: { x: { $output: "ghost" } } } }),
      `${main}/a/with reads the output of no task: "ghost"`,
    ],
    [
      "output of a task that may still run",
      dag({ a: add, b: { ...add, with: { x: { $output: "a" } } } }),
      `${main}/b/with reads the output of "a" without waiting for it`,
    ],
    [
      "own output",
      dag({ a: { ...add, with: { x: { $output: "a" } } } }),
      `${main}/a/with reads the output of "a" without waiting for it`,
    ],
    [
      "itself",
      dag({ a: { ...add, after: ["a"] } }),
      "/workflow/stages/main/tasks/a waits for itself: a → a",
    ],
    [
      "cycle",
      dag({
        a: { ...add, after: ["c"] },
        b: { ...add, after: ["a"] },
        c: { ...add, after: ["b"] },
        d: add,
      }),
      "/workflow/stages/main/tasks/a waits for itself: a → c → b → a",
    ],
    ["no tasks", dag({}), "/workflow/stages has 0 tasks; 1 to 20000 are possible"],
    [
      "initial state",
      chart("nowhere", { ...ends, one: invoke("one", "two"), two: invoke("two", "completed") }),
      '/workflow/statechart/initial names no state: "nowhere"',
    ],
    [
      "unknown stage",
      chart("one", { ...ends, one: invoke("zero", "completed") }),
      '/workflow/statechart/states/one/invoke/src names no stage: "zero"',
    ],
    [
      "a stage that every object has",
      chart("one", { ...ends, one: invoke("constructor", "completed") }),
      '/workflow/statechart/states/one/invoke/src names no stage: "constructor"',
    ],
    [
      "target",
      chart("one", { ...ends, one: invoke("one", "toString") }),
      '/workflow/statechart/states/one/invoke/onDone leads to no state: "toString"',
    ],
    [
      "dead end",
      chart("one", { ...ends, one: {} }),
      "/workflow/statechart/states/one is a dead end: neither final nor invoking a stage, and nothing leads out of it",
    ],
    [
      "unreachable state",
      chart("one", { ...ends, one: invoke("one", "completed"), two: invoke("two", "completed") }),
      "/workflow/statechart/states/two cannot be reached",
    ],
    [
      "a stage whose end leads nowhere",
      chart("one", { ...ends, one: { invoke: { src: "one", id: "one", onError: "failed" } } }),
      "/workflow/statechart/states/one is a dead end: nothing leads out of it when what it invokes is done",
    ],
    [
      "a state that invokes nothing and never ends",
      chart("one", { ...ends, one: invoke("one", "two"), two: invoke("two", "wait"), wait: {} }),
      "/workflow/statechart/states/wait is a dead end: neither final nor invoking a stage, and nothing leads out of it",
    ],
    [
      "a chart without an end",
      chart("one", { one: invoke("one", "two", "two"), two: invoke("two", "one", "one") }),
      "/workflow/statechart/states has no final state that can be reached: the run would never end",
    ],
    [
      "a circle of always",
      chart("a", {
        ...ends,
        a: {
          always: [{ target: "b", guard: { type: "when", params: { $context: true } } }, "one"],
        },
        b: { always: "a" },
        one: invoke("one", "two"),
        two: invoke("two", "completed"),
      }),
      "/workflow/statechart/states/a/always goes round without any work: a → b → a",
    ],
    [
      "a stage that no state invokes",
      chart("one", { ...ends, one: invoke("one", "completed") }),
      "/workflow/stages/two is invoked by no state, so its tasks would never run",
    ],
    [
      "an id that is taken",
      chart("one", {
        ...ends,
        one: invoke("one", "two"),
        two: { invoke: { src: "two", id: "one", onDone: "completed" } },
      }),
      '/workflow/statechart/states/two/invoke/id is taken by /workflow/statechart/states/one/invoke: "one"',
    ],
  ] as const)("says what is wrong and where: %s", (_, body, line) => {
    expect(mistakes(body as Json)).toContain(line);
  });

  test("states may be entered again: every stage has its end, and its next round", () => {
    const body = chart("one", {
      ...ends,
      one: invoke("one", "two", "one"),
      two: invoke("two", "completed", "failed"),
    });
    expect(mistakes(body)).toEqual([]);
  });

  test("ends may have names of their own", () => {
    const states = {
      one: invoke("one", "two"),
      two: invoke("two", "done"),
      done: { type: "final" },
      failed: { type: "final" },
    };
    expect(mistakes(chart("one", states))).toEqual([]);
  });

  test("a task that waits for an unknown one is no cycle", () => {
    const tasks = { a: { ...add, after: ["ghost"] }, b: { ...add, after: ["a"] } };
    expect(mistakes(dag(tasks))).toEqual([`${main}/a/after names no task: "ghost"`]);
  });

  test("a task may wait for an earlier stage, and not for a later one", () => {
    const task = { ...add, title: "t" };
    const stages = {
      one: { title: "One", tasks: { a: { ...task, after: ["b"] } } },
      two: { title: "Two", tasks: { b: task } },
    };
    expect(mistakes(staged({ stages }))).toEqual([
      '/workflow/stages/one/tasks/a/after waits for "b", whose stage "two" does not come before',
    ]);
  });

  test("a task may read what any task before it has put out, at any distance and in any earlier stage", () => {
    const task = { ...add, title: "t" };
    const stages = {
      one: { title: "One", tasks: { a: task, b: { ...task, after: ["a"] } } },
      two: {
        title: "Two",
        tasks: {
          c: { ...task, with: { x: { $output: "a" } } },
          d: { ...task, after: ["c"] },
          e: { ...task, after: ["d"], with: { x: { $output: "c" } } },
        },
      },
    };
    expect(mistakes(staged({ stages }))).toEqual([]);
  });

  test("the same key in two stages is a mistake", () => {
    const stage = { title: "S", tasks: { a: { ...add, title: "t" } } };
    expect(mistakes(staged({ stages: { one: stage, two: stage } }))).toEqual([
      "/workflow/stages has the same task key in two stages",
    ]);
  });

  test("names missing, unknown and unstorable inputs", () => {
    const body = dag({ a: add }, { params: ["path", "text", "half", "toString"] });
    const input = { text: "a\u0000b", half: ["\ud83d"], other: 1 };
    expect(mistakes(body, input)).toEqual([
      "/input/path is required",
      "/input/toString is required",
      '/input/other is not an input of "dag"; inputs are path, text, half, toString',
      "/input/text holds U+0000 or half a surrogate pair, which the database cannot store",
      "/input/half holds U+0000 or half a surrogate pair, which the database cannot store",
    ]);
  });

  test("reports every mistake at once, and how many there are in the message", () => {
    const body = dag({ a: { do: "NOBODY.add", after: ["ghost"] } });
    const check = () => checkDefinition(parseDefinition(body), { extra: 1 }, findAgent);
    expect(check).toThrow('Cannot start workflow "dag": 3 mistakes in its definition or input');
  });

  test("checks ten thousand tasks in a chain without trouble", () => {
    const tasks = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, index) => [
        `t${index}`,
        { ...add, ...(index === 0 ? {} : { after: [`t${index - 1}`] }) },
      ]),
    );
    expect(mistakes(dag(tasks))).toEqual([]);
  });
});

describe("refsOf()", () => {
  test("finds references however deep they are", () => {
    const value = { a: [{ $param: "p" }], b: { c: { $output: "t", path: "x.y" } }, d: 1, e: null };
    expect(refsOf(value)).toEqual([
      { kind: "param", name: "p", path: undefined },
      { kind: "output", name: "t", path: "x.y" },
    ]);
  });
});

/** The same value with the keys of every object in another order. */
function shuffled(value: Json, order: (index: number) => number): Json {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, order));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, shuffled(item, order)] as const);
  const ranked = entries.map((entry, index) => ({ entry, rank: order(index) }));
  ranked.sort((a, b) => a.rank - b.rank);
  return Object.fromEntries(ranked.map(({ entry }) => entry));
}

function hashOf(body: Json): string {
  return compileDefinition(body as unknown as WorkflowDefinition).hash;
}

describe("compileDefinition()", () => {
  test("gives the same hash for the same definition, and keeps it from version to version", () => {
    expect(hashOf(staged())).toBe(hashOf(structuredClone(staged())));
    expect(hashOf(staged())).toMatch(/^[0-9a-f]{64}$/);
  });

  test("the order of keys does not change the hash, any value does", () => {
    const inputs = fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fc.jsonValue({ maxDepth: 3 }));
    const property = fc.property(inputs, fc.array(fc.nat(), { minLength: 1 }), (given, ranks) => {
      const tasks = { a: { ...add, title: "t", with: given as Json } };
      const body = staged({
        stages: { one: { title: "One", tasks }, two: { title: "", tasks: {} } },
      });
      const order = (index: number) => ranks[index % ranks.length] ?? 0;
      expect(hashOf(shuffled(body, order))).toBe(hashOf(body));
      const changed = { a: { ...tasks.a, with: { ...(given as object), zzzzz: 1 } } };
      const other = staged({
        stages: { one: { title: "One", tasks: changed }, two: { title: "", tasks: {} } },
      });
      expect(hashOf(other)).not.toBe(hashOf(body));
    });
    fc.assert(property);
  });

  test("takes a task's grace, of none to ten minutes", () => {
    const { plan } = compileDefinition(parseDefinition(dag({ a: { ...add, graceMs: 200 } })));
    expect(plan.tasks.get("a")?.graceMs).toBe(200);
    for (const graceMs of [-1, 0.5, 600_001]) {
      expect(() => parseDefinition(dag({ a: { ...add, graceMs } }))).toThrow();
    }
  });

  test("fills the defaults of a task's plan", () => {
    const { plan } = compileDefinition(parseDefinition(dag({ a: add })));
    expect(plan.tasks.get("a")).toMatchObject({
      key: "a",
      stage: "main",
      kind: "action",
      agent: "WORKER",
      action: "add",
      after: [],
      priority: 3,
      retry: {
        maxFailures: 5,
        kind: "exponential",
        initialMs: 500,
        maxMs: 30_000,
        jitter: 0.5,
        totalMs: null,
        nonRetryable: [],
      },
      timeouts: {
        scheduleToStartMs: null,
        startToCloseMs: 600_000,
        scheduleToCloseMs: null,
        heartbeatMs: null,
      },
      graceMs: null,
      onFailure: { type: "fail" },
      compensate: null,
      atMostOnce: false,
      local: false,
      when: null,
      group: null,
      alternativeTo: null,
    });
  });
});
