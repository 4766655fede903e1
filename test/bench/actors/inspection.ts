/**
 * What inspection costs an actor: the same events in the same actor, each mode in a process of its own,
 * so that none pays for the garbage or the compiled code of another.
 *
 * The raw limit is the bare actor; XState's own `inspect` with an empty callback stands beside it.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { assign, createActor, setup } from "xstate";
import { createInspectionHub } from "../../../runtime/worker/inspect/hub.ts";
import { createInspector } from "../../../runtime/worker/inspect/inspector.ts";
import type { Figure } from "../figure.ts";
import { median } from "../figure.ts";

const events = 40_000;
const rounds = 5;
const kinds = ["bare", "off", "sampled", "lossless", "empty"] as const;
type Kind = (typeof kinds)[number];

/** Two states, a context that changes, and an action with a name: an event as agents have them. */
const machine = setup({
  types: { context: {} as { n: number }, events: {} as { type: "go"; id: number } },
  actions: { note: () => undefined },
}).createMachine({
  id: "bench",
  context: { n: 0 },
  initial: "a",
  states: {
    a: {
      on: { go: { target: "b", actions: [assign({ n: ({ context }) => context.n + 1 }), "note"] } },
    },
    b: { on: { go: { target: "a", actions: "note" } } },
  },
});

/** CPU time of this process per event, in µs: the best of the rounds, the machine is shared. */
function measure(kind: Kind): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round += 1) {
    const actor = createActor(machine, kind === "empty" ? { inspect: () => undefined } : {});
    // Batches go where a thread's port would take them; reading them is the main thread's work.
    const inspector = createInspector({
      n: 1,
      post: (message) => {
        if (message.type !== "batch") return;
        structuredClone(message);
        inspector.receive({ type: "taken" });
      },
    });
    if (kind === "off" || kind === "sampled" || kind === "lossless") {
      const settings = { mode: kind, actors: {}, full: false, secretNames: [] };
      inspector.receive({ type: "settings", settings });
      inspector.watch(actor, "/root/bench");
    }
    actor.start();
    const before = process.cpuUsage();
    for (let id = 0; id < events; id += 1) actor.send({ type: "go", id });
    const { user, system } = process.cpuUsage(before);
    inspector.close();
    best = Math.min(best, (user + system) / events);
  }
  return best;
}

function inProcess(kind: Kind): number {
  const { stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), kind], {
    encoding: "utf8",
  });
  const value = Number(stdout);
  if (!(value > 0)) throw new Error(`Cannot measure inspection ${kind}: ${stderr}`);
  return value;
}

/** Frames that the hub in the main thread reads in a second. */
function hubRate(): number {
  const hub = createInspectionHub({ onError: (message) => console.error(message) });
  hub.setMode("lossless");
  const actor = createActor(machine);
  hub.local.watch(actor, "/root/bench");
  actor.start();
  const startedMs = performance.now();
  for (let id = 0; id < events; id += 1) actor.send({ type: "go", id });
  hub.close();
  return (events / (performance.now() - startedMs)) * 1_000;
}

export async function benchInspection(runs: number): Promise<Figure[]> {
  const ratios = new Map<Kind, number[]>(kinds.map((kind) => [kind, []]));
  const bare: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const base = inProcess("bare");
    bare.push(base);
    for (const kind of kinds) {
      if (kind !== "bare") ratios.get(kind)?.push(inProcess(kind) / base);
    }
  }
  const raw = { name: "bare actor, µs of CPU an event", value: median(bare) };
  const figure = (kind: Kind, name: string, goal?: Figure["goal"]): Figure => ({
    name,
    values: ratios.get(kind) ?? [],
    unit: "×",
    raw,
    ...(goal === undefined ? {} : { goal }),
  });
  return [
    figure("off", "an event with inspection off"),
    figure("sampled", "an event with inspection sampled", { atMost: 1.1 }),
    figure("lossless", "an event with inspection lossless", { atMost: 1.4 }),
    figure("empty", "an event with XState's own inspect and an empty callback"),
    {
      name: "frames made, merged and kept in one thread",
      values: Array.from({ length: runs }, hubRate),
      unit: "/s",
    },
  ];
}

const [, script, kind] = process.argv;
if (script === fileURLToPath(import.meta.url) && kinds.some((known) => known === kind)) {
  process.stdout.write(String(measure(kind as Kind)));
}
