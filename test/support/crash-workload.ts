/**
 * Small workflows that, together, make a node do everything it can do to the world.
 *
 * @module
 */

import { defineStatechart, defineWorkflow } from "../../actors/define-workflow.ts";

/** How long the task `nap` sleeps. */
export const napMs = 80;

const add = { do: "WORKER.add" } as const;
const quick = { retry: { initialMs: 20, maxMs: 50 } } as const;

/** A chain, a fan-out, a child, a sleep, a retry, a checkpoint, a signal and an approval. */
const everything = defineWorkflow({
  id: "everything",
  tasks: {
    first: add,
    booked: { do: "WORKER.book", after: ["first"] },
    saved: { do: "WORKER.save", after: ["first"], ...quick },
    flaky: { do: "WORKER.flaky", after: ["first"], ...quick },
    wide: { ...add, after: ["first"], forEach: [1, 2, 3] },
    part: { workflow: "part", after: ["first"] },
    nap: { sleepMs: napMs, after: ["first"] },
    woken: { ...add, after: ["nap"] },
    told: { signal: "go", after: ["first"] },
    allowed: { approval: { title: "May it go on?" }, after: ["first"] },
    last: {
      ...add,
      after: ["booked", "saved", "flaky", "wide", "part", "woken", "told", "allowed"],
    },
  },
});

const part = defineWorkflow({ id: "part", tasks: { only: add } });

/** Its last task fails, and what its others did is undone. */
const saga = defineWorkflow({
  id: "saga",
  tasks: {
    book: { do: "WORKER.book", compensate: "WORKER.undo" },
    pay: { ...add, after: ["book"], compensate: "WORKER.undo" },
    ship: { do: "WORKER.fail", after: ["pay"], onFailure: "rollback", retry: { attempts: 1 } },
  },
});

/** Never ends by itself; neither does the run that it starts. */
const endless = defineWorkflow({
  id: "endless",
  tasks: {
    one: { do: "WORKER.block" },
    two: { do: "WORKER.block" },
    three: { do: "WORKER.block" },
    below: { workflow: "endless-part" },
  },
});
const endlessPart = defineWorkflow({ id: "endless-part", tasks: { only: { do: "WORKER.block" } } });

/** One at a time; the others queue. */
const alone = {
  ...defineWorkflow({ id: "alone", tasks: { only: add } }),
  concurrency: { limit: 1 },
};

/** The database refuses its journal: it is parked. */
const refused = defineWorkflow({ id: "refused", tasks: { only: add } });

/** What it does must not happen twice; where that is unknown it is parked. */
const once = defineStatechart({
  id: "once",
  title: "once",
  stages: { main: { title: "main", tasks: { only: { ...add, delivery: "atMostOnce" } } } },
});

/** Keeps one place of a node for itself, until it is cancelled. */
const busy = defineWorkflow({ id: "busy", tasks: { only: { do: "WORKER.block" } } });

export const crashWorkflows = [
  everything,
  part,
  saga,
  endless,
  endlessPart,
  alone,
  refused,
  once,
  busy,
] as const;

/** Started by each node, in this order. */
export const startedByNodes = [
  "everything",
  "saga",
  "endless",
  "alone",
  "alone",
  "refused",
  "once",
  "busy",
] as const;
