/**
 * What a supervisor records of its children: once each, with what was done about it.
 *
 * @module
 */

import { expect, test } from "vitest";
import type { Incident } from "../../../actors/ports.ts";
import { abnormal, normal, nursery, settle, shutdown } from "../../support/nursery.ts";

function recorded() {
  const incidents: Incident[] = [];
  const told = () =>
    incidents.splice(0).map(({ address, kind, action }) => [address, kind, action]);
  return {
    tree: { incidents: { record: (one: Incident) => incidents.push(one) } },
    incidents,
    told,
  };
}

test("crashes, failed restarts and giving up are incidents; ends in order are none", async () => {
  const n = nursery();
  const { incidents, told, tree } = recorded();
  let failing = Number.POSITIVE_INFINITY;
  const supervisor = await n.supervise([n.spec("a", { failsFrom: () => failing })], {
    tree,
    intensity: { maxRestarts: 2, periodMs: 100_000 },
  });
  await n.exit("a", normal);
  await n.pass(100);
  expect(told()).toEqual([]);
  failing = 3;
  await n.exit("a", abnormal("boom"));
  expect(incidents).toMatchObject([
    { incarnation: 2, error: { message: "boom" }, detail: { supervisor: "/root" } },
  ]);
  await n.pass(1_000);
  expect(await supervisor.exited).toMatchObject({ type: "shutdown" });
  expect(told()).toEqual([
    ["/root/a", "crash", "restarted"],
    ["/root/a", "start-failed", "gave-up"],
  ]);
});

test("a temporary child that crashes is ended, a part that gives up is restarted by the next one up", async () => {
  const n = nursery();
  const { told, tree } = recorded();
  const root = await n.supervise(
    [
      {
        id: "part",
        type: "supervisor",
        start: (place) =>
          n.supervise([n.spec("b")], {
            ...place,
            id: "part",
            intensity: { maxRestarts: 0, periodMs: 1 },
          }),
      },
      n.spec("t", { restart: "temporary" }),
    ],
    { tree },
  );
  await n.exit("t");
  await n.exit("b");
  await n.pass(1_000);
  expect(told()).toEqual([
    ["/root/t", "crash", "terminated"],
    ["/root/part/b", "crash", "gave-up"],
    ["/root/part", "gave-up", "restarted"],
  ]);
  await root.stop();
  expect(told()).toEqual([]);
});

test("whoever starts a supervisor or a child is told of that failure, and nobody else", async () => {
  const n = nursery();
  const { told, tree } = recorded();
  const broken = n.spec("a", { failsFrom: () => 1 });
  await expect(n.supervise([broken], { tree })).rejects.toMatchObject({
    code: "RESTART_INTENSITY",
  });
  const supervisor = await n.supervise([n.spec("b")], { tree });
  await expect(supervisor.startChild(broken)).rejects.toMatchObject({ code: "NO_START" });
  await supervisor.stopChild("b");
  supervisor.restartChild("b");
  await settle();
  await n.exit("b", shutdown);
  await supervisor.stop();
  expect(told()).toEqual([]);
});
