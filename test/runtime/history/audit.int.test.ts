import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase } from "../../../db/database.ts";
import { createHistoryRepo } from "../../../db/history-repo.ts";
import type { RunState } from "../../../machines/run/state.ts";
import { auditRuns } from "../../../runtime/history/audit.ts";
import { stateAt } from "../../../runtime/history/state-at.ts";
import {
  driveEverything,
  driveSaga,
  everyFeature,
  featureAgent,
} from "../../support/every-feature.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { openTestHost } from "../../support/workflow-host.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.drop();
});

/** What the engine had stored after each of its turns, by run and journal number. */
function recorder() {
  const seen = new Map<string, Map<number, RunState>>();
  return {
    seen,
    onTurn: ({ id, state }: { readonly id: string; readonly state: RunState }) => {
      const states = seen.get(id) ?? new Map<number, RunState>();
      states.set(state.seq, structuredClone(state));
      seen.set(id, states);
    },
  };
}

describe("the journal of runs that use every feature", () => {
  test("folds to what the engine stored at each seq, and to the rows", async () => {
    const { seen, onTurn } = recorder();
    const { db, close } = openDatabase({ type: "url", url: database.url });
    {
      await using node = await openTestHost({
        url: database.url,
        workflows: everyFeature,
        runAgent: featureAgent,
        onTurn,
      });
      await driveEverything(node);
      await driveSaga(node);
    }
    const repo = createHistoryRepo(db);
    let compared = 0;
    for (const [id, states] of seen) {
      const history = await repo.read(id);
      if (history === undefined) throw new Error(`run ${id} is gone`);
      for (const [seq, stored] of states) {
        const { outputs: _known, ...folded } = stateAt(history, seq).state;
        const { outputs: _observed, ...state } = stored;
        expect(folded).toEqual(state);
        compared += 1;
      }
    }
    expect(seen.size).toBe(3);
    expect(compared).toBeGreaterThan(40);
    expect(await auditRuns(db)).toEqual([]);
    await close();
  });

  test("an audit finds what was changed behind its back", async () => {
    const { db, close } = openDatabase({ type: "url", url: database.url });
    const [saga] = await db.execute<{ id: string; seq: string }>(
      sql`select id, seq::text from spectra.workflows where workflow = 'saga'`,
    );
    const id = saga?.id ?? "";
    await db.execute(
      sql`update spectra.tasks set attempt = attempt + 1 where workflow_id = ${id} and key = 'pay'`,
    );
    expect(await auditRuns(db)).toMatchObject([
      { workflowId: id, rule: "fold", path: "tasks.pay.attempt" },
    ]);
    await db.execute(
      sql`delete from spectra.journal where workflow_id = ${id} and seq = ${Number(saga?.seq) - 1}`,
    );
    expect(await auditRuns(db)).toMatchObject([{ workflowId: id, rule: "gap-free" }]);
    await close();
  });
});
