import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Incident } from "../../../../actors/ports.ts";
import type { IncidentRepo, NewIncident } from "../../../../db/incident-repo.ts";
import { createIncidentLog } from "../../../../runtime/worker/agent/incident-log.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function incident(incarnation: number): Incident {
  const address = "/root/agents/DATABASE";
  return { address, incarnation, kind: "crash", action: "restarted", error: null, detail: {} };
}

/** A log whose database can be taken away. */
function open() {
  const stored: NewIncident[] = [];
  const batches: number[] = [];
  const errors: unknown[] = [];
  const state = { away: false };
  const repo: IncidentRepo = {
    insert: async (rows) => {
      if (state.away) throw new Error("the database is away");
      batches.push(rows.length);
      stored.push(...rows);
    },
    list: async () => [],
  };
  const quiet = (): void => undefined;
  const journal = createIncidentLog({
    repo: () => repo,
    node: "node-a",
    clock: { now: () => new Date(1_000), monotonicMs: () => 0 },
    log: {
      debug: quiet,
      info: quiet,
      warn: quiet,
      error: (message, fields) => void errors.push([message, fields]),
    },
  });
  return { journal, stored, batches, errors, state };
}

test("incidents are stored in order, with their node and time", async () => {
  const { journal, stored } = open();
  journal.record(incident(1));
  journal.record(incident(2));
  expect(journal.waiting()).toBe(2);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(stored).toMatchObject([
    { incarnation: 1, node: "node-a", atMs: 1_000, kind: "crash" },
    { incarnation: 2 },
  ]);
  expect(journal.waiting()).toBe(0);
});

test("while the database is away incidents wait, and are stored once when it is back", async () => {
  const { journal, stored, state } = open();
  state.away = true;
  journal.record(incident(1));
  await vi.advanceTimersByTimeAsync(60_000);
  journal.record(incident(2));
  expect(stored).toEqual([]);
  expect(journal.waiting()).toBe(2);
  state.away = false;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(stored.map(({ incarnation }) => incarnation)).toEqual([1, 2]);
  expect(journal.waiting()).toBe(0);
});

test("1,000 incidents wait at most: the oldest are given up, and that is said", async () => {
  const { journal, stored, batches, errors, state } = open();
  state.away = true;
  for (let n = 1; n <= 1_005; n += 1) journal.record(incident(n));
  expect(journal.waiting()).toBe(1_000);
  expect(errors).toEqual([["incidents are lost: the database is away", { dropped: 1 }]]);
  state.away = false;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(stored.map(({ incarnation }) => incarnation)).toEqual(
    Array.from({ length: 1_000 }, (_, index) => index + 6),
  );
  expect(Math.max(...batches)).toBe(100);
});

test("close() stores what waits, and takes nothing after that", async () => {
  const { journal, stored } = open();
  journal.record(incident(1));
  await journal.close();
  journal.record(incident(2));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(stored.map(({ incarnation }) => incarnation)).toEqual([1]);
});
