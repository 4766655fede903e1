/** @module Tests of the DIRECTOR's ballot: all criteria, and counts that agree with the records. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { castVote } from "../../../../actors/agents/director/cast-vote.ts";
import type { Criterion, Proposal } from "../../../../actors/agents/proposal.ts";
import { createAgentContext } from "../../../support/agent-context.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { createTinyArchive, tinyRunId } from "../../../support/tiny-archive.ts";

let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase();
  await createTinyArchive(db.sql, ["one", "two"]);
});
afterAll(() => db.drop());

function criterion(name: string, required: number, measured: number | null): Criterion {
  return {
    name,
    unit: "times",
    required,
    measured,
    met: measured !== null && measured >= required,
  };
}

const met = [criterion("speedup", 5, 7), criterion("accuracy", 5, 5), criterion("space", 1, 2)];

function ballotOn(change: Partial<Extract<Proposal, { kind: "accept_phase1" }>>) {
  const proposal: Proposal = {
    kind: "accept_phase1",
    workflowId: "wf",
    runId: tinyRunId,
    read: 2,
    migrated: 2,
    rejected: 0,
    criteria: met,
    failedChecks: [],
    severeFindings: [],
    ...change,
  };
  return castVote.run(createAgentContext(db.sql), { proposal });
}

test("DIRECTOR.cast_vote is for a phase that meets every criterion", async () => {
  expect(await ballotOn({})).toEqual({
    approve: true,
    reason: "all 3 criteria are met and all 2 records add up",
  });
});

test("DIRECTOR.cast_vote is against a phase that misses one of many criteria, and says by how much", async () => {
  const missed = criterion("read_speedup", 5, 4.987);
  expect(await ballotOn({ criteria: [...met, missed] })).toEqual({
    approve: false,
    reason: "read_speedup is missed: 4.99 times, required 5",
  });
  const unknown = criterion("read_speedup", 5, null);
  expect(await ballotOn({ criteria: [...met, unknown] })).toEqual({
    approve: false,
    reason: "read_speedup is missed: not measured, required 5",
  });
});

test("DIRECTOR.cast_vote is against a phase without criteria", async () => {
  expect(await ballotOn({ criteria: [] })).toMatchObject({ approve: false });
});

test("DIRECTOR.cast_vote is against counts that the records contradict", async () => {
  expect(await ballotOn({ migrated: 3 })).toMatchObject({ approve: false });
  expect(await ballotOn({ runId: "none" })).toMatchObject({ approve: false });
});
