import { describe, expect, test } from "vitest";
import { createDirectory, type DeadLetter, type Down } from "../../../actors/tree/directory.ts";
import { killed, normal, nursery, settle, statuses } from "../../support/nursery.ts";

/** A supervisor of a, b and c below a directory. */
async function tree(options: { stashLimit?: number } = {}) {
  const n = nursery();
  const letters: DeadLetter[] = [];
  const downs: Down[] = [];
  const directory = createDirectory({ ...options, onDeadLetter: (letter) => letters.push(letter) });
  const supervisor = await n.supervise(
    ["a", "b", "c"].map((id) => n.spec(id, { restart: "transient" })),
    { tree: { directory }, intensity: { maxRestarts: 10, periodMs: 1_000 } },
  );
  n.diary();
  return {
    ...n,
    directory,
    supervisor,
    letters,
    downs,
    watch: (target: string, watcher = "/root/c") =>
      directory.monitor(watcher, target, (down) => downs.push(down)),
  };
}

describe("link()", () => {
  test("an abnormal exit of one ends the other, whichever way round", async () => {
    for (const [first, second] of [
      ["a", "b"],
      ["b", "a"],
    ] as const) {
      const n = await tree();
      n.directory.link("/root/a", "/root/b");
      await n.exit(first);
      expect(n.diary()).toEqual([`kill ${second}`]);
      await n.pass(100);
      expect(statuses(n.supervisor)).toEqual(["a running", "b running", "c running"]);
      expect(n.supervisor.view().children.map(({ restarts }) => restarts)).toEqual([1, 1, 0]);
      // The linked one counts as ended for the same reason.
      expect(n.supervisor.view().children[second === "a" ? 0 : 1]?.lastError).toMatchObject({
        message: `${first} crashed`,
      });
      expect(n.directory.counts().links).toBe(0);
      await n.supervisor.stop();
    }
  });

  test("a normal exit ends nobody, and neither does one after unlink()", async () => {
    const n = await tree();
    n.directory.link("/root/a", "/root/b");
    n.directory.link("/root/b", "/root/c");
    n.directory.unlink("/root/c", "/root/b");
    await n.exit("a", normal);
    await n.exit("b");
    expect(n.diary()).toEqual([]);
    await n.supervisor.stop();
  });

  test("a chain of links goes down as one", async () => {
    const n = await tree();
    n.directory.link("/root/a", "/root/b");
    n.directory.link("/root/b", "/root/c");
    await n.exit("a");
    expect(n.diary()).toEqual(["kill b", "kill c"]);
    await n.supervisor.stop();
  });

  test("a link to somebody dead ends the living with noproc", async () => {
    const n = await tree();
    n.directory.link("/root/a", "/root/nobody");
    await settle();
    expect(n.diary()).toEqual(["kill a"]);
    expect(n.supervisor.view().children[0]?.lastError?.code).toBe("LINK_NOPROC");
    await n.supervisor.stop();
  });
});

describe("monitor()", () => {
  test("tells once, with the reason, and not again after the restart", async () => {
    const n = await tree();
    const ref = n.watch("/root/a");
    await n.exit("a");
    await n.pass(100);
    await n.exit("a");
    expect(n.downs).toMatchObject([
      { ref, target: "/root/a", reason: { type: "abnormal", error: { message: "a crashed" } } },
    ]);
    await n.supervisor.stop();
  });

  test("tells of an already dead target, later and not inside the call", async () => {
    const n = await tree();
    const ref = n.watch("/root/nobody");
    expect(n.downs).toEqual([]);
    await settle();
    expect(n.downs).toEqual([{ ref, target: "/root/nobody", reason: { type: "noproc" } }]);
    await n.supervisor.stop();
  });

  test("who is stopped ends with shutdown, who is done with normal", async () => {
    const n = await tree();
    n.watch("/root/a");
    n.watch("/root/b");
    await n.supervisor.stopChild("a");
    await n.exit("b", normal);
    expect(n.downs.map(({ reason }) => reason.type)).toEqual(["shutdown", "normal"]);
    await n.supervisor.stop();
  });

  test("ends with its watcher", async () => {
    const n = await tree();
    n.watch("/root/a", "/root/c");
    await n.exit("c", killed);
    await n.exit("a");
    expect(n.downs).toEqual([]);
    expect(n.directory.counts().monitors).toBe(0);
    await n.supervisor.stop();
  });

  test("demonitor() forgets; with flush also what is on its way, without it not", async () => {
    const n = await tree();
    n.directory.demonitor(n.watch("/root/a"));
    await n.exit("a");
    n.directory.demonitor(n.watch("/root/nobody"), true);
    await settle();
    expect(n.downs).toEqual([]);
    const ref = n.watch("/root/nobody");
    n.directory.demonitor(ref, false);
    await settle();
    expect(n.downs).toMatchObject([{ ref }]);
    await n.supervisor.stop();
  });
});

describe("send()", () => {
  test("reaches a child that runs, and one that restarts after its restart, in order", async () => {
    const n = await tree();
    expect(n.directory.send("/root/a", 1)).toBe("delivered");
    await n.exit("a");
    expect(n.directory.send("/root/a", 2)).toBe("stashed");
    expect(n.directory.send("/root/a", 3)).toBe("stashed");
    expect(n.events).toEqual(["a 1"]);
    await n.pass(100);
    expect(n.events).toEqual(["a 1", "a 2", "a 3"]);
    expect(n.directory.counts().stashed).toBe(0);
    await n.supervisor.stop();
  });

  test("each event that reaches nobody is one dead letter with its reason", async () => {
    const n = await tree({ stashLimit: 2 });
    await n.exit("a");
    for (const event of [1, 2, 3]) n.directory.send("/root/a", event);
    expect(n.letters).toEqual([{ target: "/root/a", event: 3, reason: "stash-full" }]);
    await n.supervisor.stopChild("a");
    n.directory.send("/root/a", 4);
    n.directory.send("/root/nobody", 5);
    expect(n.letters.slice(1).map(({ event, reason }) => [event, reason])).toEqual([
      [1, "stopped"],
      [2, "stopped"],
      [4, "stopped"],
      [5, "unknown-address"],
    ]);
    await n.supervisor.stop();
  });
});
