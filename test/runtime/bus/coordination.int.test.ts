import { afterAll, beforeAll, expect, test } from "vitest";
import type { BusPort } from "../../../actors/ports.ts";
import { AgentError, type Json } from "../../../machines/error-code.ts";
import { createBus } from "../../../runtime/bus/bus.ts";
import { type Coordination, createCoordination } from "../../../runtime/bus/coordination.ts";
import { createCoordinationTables } from "../../support/coordination-tables.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";

let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase();
  await createCoordinationTables(db.sql);
});
afterAll(() => db.drop());

const noBus: Pick<BusPort, "request"> = {
  request: () => Promise.reject(new Error("nobody is asked in this test")),
};

function start(
  bus: Pick<BusPort, "request"> = noBus,
  nodeId = "node-1",
  budget = { cpu: 2, memoryMb: 4_000 },
): Coordination {
  const nominal = { cpu: 10, memoryMb: 20_000 };
  return createCoordination({ sql: db.sql, bus, nodeId, budget, nominal });
}

type Voter = () => Promise<Json>;

/** A real bus whose agents are the given functions. */
function busOf(voters: Record<string, Voter>, asked: string[] = []) {
  return createBus({
    callAgent: async (agent, action) => {
      asked.push(`${agent}.${action}`);
      const voter = voters[agent];
      if (voter === undefined) {
        throw new AgentError("AGENT_UNKNOWN", `Cannot call ${agent}: no such agent`);
      }
      return voter();
    },
    onPublish: () => undefined,
  });
}
const yes: Voter = async () => ({ approve: true, reason: "all figures hold" });
const no: Voter = async () => ({ approve: false, reason: "a figure is missing" });
const silent: Voter = () => new Promise(() => undefined);

test("createGroup() keeps members once, however often it is asked", async () => {
  const coordination = start();
  await coordination.createGroup("g1", ["B", "A"]);
  await Promise.all([
    coordination.createGroup("g1", ["A", "C"]),
    coordination.createGroup("g1", ["A", "C"]),
  ]);
  expect(await coordination.groupMembers("g1")).toEqual(["A", "B", "C"]);
});

test("arriveAtBarrier() tells who is missing, and nobody once all came", async () => {
  const coordination = start();
  await coordination.createBarrier("b1", ["A", "B"], 60_000);
  expect(await coordination.arriveAtBarrier("b1", "A")).toEqual({ missing: ["B"] });
  expect(await coordination.arriveAtBarrier("b1", "A")).toEqual({ missing: ["B"] });
  expect(await start().arriveAtBarrier("b1", "B")).toEqual({ missing: [] });
});

test("arriveAtBarrier() lets exactly one of concurrent arrivals find the barrier complete first", async () => {
  const coordination = start();
  const names = ["A", "B", "C", "D", "E", "F"];
  await coordination.createBarrier("b-many", names, 60_000);
  const results = await Promise.all(
    names.map((name) => coordination.arriveAtBarrier("b-many", name)),
  );
  expect(results.some((result) => result.missing.length === 0)).toBe(true);
  expect(await coordination.arriveAtBarrier("b-many", "A")).toEqual({ missing: [] });
});

test("arriveAtBarrier() refuses strangers, unknown barriers and late comers with a code each", async () => {
  const coordination = start();
  await coordination.createBarrier("b2", ["A", "B"], 60_000);
  await expect(coordination.arriveAtBarrier("b2", "X")).rejects.toMatchObject({
    code: "BARRIER_PARTICIPANT_UNKNOWN",
  });
  await expect(coordination.arriveAtBarrier("b-none", "A")).rejects.toMatchObject({
    code: "BARRIER_UNKNOWN",
  });
  await coordination.arriveAtBarrier("b2", "A");
  await db.sql`update spectra.barriers set deadline_at = now() where id = 'b2'`;
  await expect(coordination.arriveAtBarrier("b2", "B")).rejects.toMatchObject({
    code: "BARRIER_TIMED_OUT",
    message: 'Cannot open the barrier "b2": B did not arrive in time',
  });
});

test("createBarrier() asked again keeps arrivals and refuses other participants", async () => {
  const coordination = start();
  await coordination.createBarrier("b3", ["A", "B"], 60_000);
  await coordination.arriveAtBarrier("b3", "A");
  await coordination.createBarrier("b3", ["B", "A"], 60_000);
  expect(await coordination.arriveAtBarrier("b3", "B")).toEqual({ missing: [] });
  await expect(coordination.createBarrier("b3", ["A", "C"], 60_000)).rejects.toMatchObject({
    code: "COORDINATION_CONFLICT",
  });
  await expect(coordination.createBarrier("b4", [], 60_000)).rejects.toMatchObject({
    code: "PARTICIPANTS_INVALID",
  });
});

test("reserve() scales to the machine and refuses what does not fit any more", async () => {
  const coordination = start(noBus, "node-r1");
  await coordination.reserve("r1", "wf", { cpu: 5, memoryMb: 10_000 });
  expect(await coordination.reserved()).toEqual({ cpu: 1, memoryMb: 2_000 });
  await coordination.reserve("r1", "wf", { cpu: 5, memoryMb: 10_000 });
  expect(await coordination.reserved()).toEqual({ cpu: 1, memoryMb: 2_000 });
  await expect(coordination.reserve("r2", "wf", { cpu: 6, memoryMb: 1_000 })).rejects.toMatchObject(
    { code: "RESOURCE_EXHAUSTED", retryable: true },
  );
  await coordination.release("r1");
  await coordination.reserve("r2", "wf", { cpu: 6, memoryMb: 1_000 });
});

test("reserve() never gives more than the budget to concurrent callers", async () => {
  const coordination = start(noBus, "node-r2");
  const asks = Array.from({ length: 8 }, (_, index) =>
    coordination.reserve(`many-${index}`, "wf-many", { cpu: 4, memoryMb: 100 }),
  );
  const settled = await Promise.allSettled(asks);
  expect(settled.filter((one) => one.status === "fulfilled")).toHaveLength(2);
  expect((await coordination.reserved()).cpu).toBeCloseTo(1.6);
  expect(await coordination.releaseHolder("wf-many")).toBe(2);
  expect((await coordination.reserved()).cpu).toBe(0);
});

test("reserve() takes over what a lease that ended had held", async () => {
  const coordination = start(noBus, "node-r3");
  await coordination.reserve("old", "gone", { cpu: 10, memoryMb: 100 });
  await db.sql`update spectra.reservations set lease_ends_at = now() where id = 'old'`;
  await coordination.reserve("new", "alive", { cpu: 10, memoryMb: 100 });
  expect((await coordination.reserved()).cpu).toBeCloseTo(2);
});

test("vote() accepts when the quorum agrees, without the voter that is silent", async () => {
  const coordination = start(busOf({ A: yes, B: silent, C: yes }));
  const result = await coordination.vote("v1", { what: 1 }, ["A", "B", "C"], 2, 60_000);
  expect(result.outcome).toBe("accepted");
  expect(result.ballots.map((ballot) => ballot.voter).toSorted()).toEqual(["A", "C"]);
});

test("vote() rejects when the quorum is out of reach, with the reasons", async () => {
  const coordination = start(busOf({ A: no, B: no, C: silent }));
  const result = await coordination.vote("v2", {}, ["A", "B", "C"], 2, 60_000);
  expect(result).toMatchObject({ id: "v2", outcome: "rejected", required: 2 });
  expect(result.ballots.map((ballot) => ballot.reason)).toEqual([
    "a figure is missing",
    "a figure is missing",
  ]);
});

test("vote() counts silence, errors and malformed ballots as against, and says which", async () => {
  const coordination = start(busOf({ A: silent, B: async () => "yes!", C: yes }));
  const result = await coordination.vote("v3", {}, ["A", "B", "C", "NOBODY"], 4, 20);
  expect(result.outcome).toBe("rejected");
  const all = await start(busOf({ A: silent, B: async () => "yes!", C: yes })).vote(
    "v4",
    {},
    ["A", "B", "C", "NOBODY"],
    1,
    20,
  );
  expect(all.outcome).toBe("accepted");
  const lonely = await start(busOf({ A: silent })).vote("v5", {}, ["A"], 1, 20);
  expect(lonely.ballots[0]?.reason).toMatch(/^no ballot \(REQUEST_TIMEOUT\)/);
  const unknown = await start(busOf({})).vote("v6", {}, ["NOBODY"], 1, 20);
  expect(unknown.ballots[0]?.reason).toMatch(/^no ballot \(AGENT_UNKNOWN\)/);
  const malformed = await start(busOf({ B: async () => "yes!" })).vote("v7", {}, ["B"], 1, 20);
  expect(malformed.ballots[0]?.reason).toMatch(/^no ballot \(BALLOT_INVALID\)/);
});

test.each(["AGENT_BUSY", "AGENT_DIED", "AGENT_UNAVAILABLE", "CONNECTION_CLOSED"])(
  "vote() asks again when a voter fails with %s, and counts its real answer",
  async (code) => {
    let requests = 0;
    const troubled: Voter = async () => {
      requests += 1;
      if (requests <= 2) throw new AgentError(code, "Cannot vote: not now", { retryable: true });
      return yes();
    };
    const id = `v-again-${code}`;
    const result = await start(busOf({ A: troubled })).vote(id, {}, ["A"], 1, 60_000);
    expect(result.ballots).toEqual([{ voter: "A", approve: true, reason: "all figures hold" }]);
    expect(requests).toBe(3);
    const stored = await db.sql`select approve from spectra.ballots where vote_id = ${id}`;
    expect(stored.map((row) => row["approve"])).toEqual([true]);
  },
);

test("vote() counts a voter that stays busy as against at the deadline, and asks no more", async () => {
  const asked: string[] = [];
  const busy: Voter = async () => {
    throw new AgentError("AGENT_BUSY", "Cannot vote: no place", { retryable: true });
  };
  const result = await start(busOf({ A: busy }, asked)).vote("v-busy", {}, ["A"], 1, 500);
  expect(result.outcome).toBe("rejected");
  expect(result.ballots[0]?.reason).toBe("no ballot (AGENT_BUSY): Cannot vote: no place");
  expect(asked.length).toBeGreaterThan(1);
});

test("vote() stops asking a voter again once the others have decided", async () => {
  const asked: string[] = [];
  const busy: Voter = async () => {
    throw new AgentError("AGENT_BUSY", "Cannot vote: no place", { retryable: true });
  };
  const voters = { A: yes, B: busy };
  await start(busOf(voters, asked)).vote("v-stop", {}, ["A", "B"], 1, 60_000);
  const before = asked.length;
  // Longer than the first pauses together: a loop that goes on would have asked by then.
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(asked).toHaveLength(before);
});

test("vote() asked again returns the decision that stands and asks nobody", async () => {
  const asked: string[] = [];
  await start(busOf({ A: yes, B: yes }, asked)).vote("v8", {}, ["A", "B"], 2, 60_000);
  expect(asked.toSorted()).toEqual(["A.cast_vote", "B.cast_vote"]);
  const again = await start(busOf({ A: no, B: no }, asked)).vote("v8", {}, ["A", "B"], 2, 60_000);
  expect(again.outcome).toBe("accepted");
  expect(asked).toHaveLength(2);
});

test("vote() goes on with the ballots of a vote whose caller died", async () => {
  await db.sql`insert into spectra.votes (id, proposal, voters, required, timeout_ms)
    values ('v9', '{}', '{A,B}', 2, 60000)`;
  await db.sql`insert into spectra.ballots (vote_id, voter, approve, reason)
    values ('v9', 'A', true, 'before the crash')`;
  const asked: string[] = [];
  const result = await start(busOf({ A: no, B: yes }, asked)).vote("v9", {}, ["A", "B"], 2, 60_000);
  expect(result.outcome).toBe("accepted");
  expect(result.ballots[0]).toMatchObject({ voter: "A", reason: "before the crash" });
  expect(asked).toEqual(["B.cast_vote"]);
});

test("vote() refuses a quorum that its voters cannot make", async () => {
  await expect(start().vote("v10", {}, ["A"], 2, 60_000)).rejects.toMatchObject({
    code: "VOTE_INVALID",
  });
  await expect(start().vote("v11", {}, ["A", "A"], 1, 60_000)).rejects.toMatchObject({
    code: "PARTICIPANTS_INVALID",
  });
});
