/**
 * Random groups, strategies, restart types and exits against a model of some lines: exactly the
 * right siblings stop and start, in the right order (reliability catalogue, row 13).
 *
 * @module
 */

import fc from "fast-check";
import { expect, test } from "vitest";
import type { ChildExit } from "../../../machines/child-table.ts";
import type { Restart, Strategy } from "../../../machines/restart-policy.ts";
import { abnormal, normal, nursery, shutdown, statuses } from "../../support/nursery.ts";

interface ModelChild {
  readonly id: string;
  readonly restart: Restart;
  up: boolean;
}

/** What one exit does, after OTP's manual. Changes `children`; returns what happens, in order. */
function model(children: ModelChild[], strategy: Strategy, id: string, exit: ChildExit): string[] {
  const index = children.findIndex((child) => child.id === id);
  const child = children[index];
  if (child === undefined || !child.up) return [];
  child.up = false;
  const restarts =
    child.restart === "permanent" || (child.restart === "transient" && exit.type === "abnormal");
  if (!restarts) {
    if (child.restart === "temporary") children.splice(index, 1);
    return [];
  }
  const from = { one_for_one: index, one_for_all: 0, rest_for_one: index }[strategy];
  const to = strategy === "one_for_one" ? index + 1 : children.length;
  const group = children.slice(from, to);
  const stopped = group.filter(({ up }) => up).toReversed();
  const kept = group.filter(({ id: other, restart }) => other === id || restart !== "temporary");
  children.splice(from, group.length, ...kept);
  for (const other of kept) other.up = true;
  return [
    ...stopped.map((other) => `stop ${other.id}`),
    ...kept.map((other) => `start ${other.id}`),
  ];
}

const exits: Readonly<Record<string, ChildExit>> = { normal, shutdown, abnormal: abnormal("boom") };

test("startSupervisor() stops and starts exactly whom the model does, in its order", async () => {
  const children = fc.array(fc.constantFrom<Restart>("permanent", "transient", "temporary"), {
    minLength: 1,
    maxLength: 6,
  });
  const strategy = fc.constantFrom<Strategy>("one_for_one", "one_for_all", "rest_for_one");
  const steps = fc.array(fc.tuple(fc.nat(5), fc.constantFrom("normal", "shutdown", "abnormal")), {
    minLength: 1,
    maxLength: 8,
  });
  await fc.assert(
    fc.asyncProperty(children, strategy, steps, async (restarts, chosen, crashes) => {
      const n = nursery();
      const expected = restarts.map(
        (restart, at): ModelChild => ({ id: `c${at}`, restart, up: true }),
      );
      const supervisor = await n.supervise(
        expected.map(({ id, restart }) => n.spec(id, { restart })),
        { strategy: chosen, intensity: { maxRestarts: 1_000, periodMs: 1_000 } },
      );
      n.diary();
      for (const [at, how] of crashes) {
        const exit = exits[how] ?? normal;
        await n.exit(`c${at}`, exit);
        await n.pass(1_000);
        expect(n.diary()).toEqual(model(expected, chosen, `c${at}`, exit));
        expect(statuses(supervisor)).toEqual(
          expected.map(({ id, up }) => `${id} ${up ? "running" : "ended"}`),
        );
      }
      await supervisor.stop();
      const stops = expected.filter(({ up }) => up).map(({ id }) => `stop ${id}`);
      expect(n.diary()).toEqual(stops.toReversed());
    }),
    { numRuns: 300 },
  );
}, 120_000);
