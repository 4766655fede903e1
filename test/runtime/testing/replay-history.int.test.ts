import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { WorkflowDefinition } from "../../../actors/define-workflow.ts";
import { openDatabase } from "../../../db/database.ts";
import { createHistoryRepo } from "../../../db/history-repo.ts";
import { type RecordedHistory, replayHistory } from "../../../runtime/testing/index.ts";
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

async function recordedRuns(): Promise<RecordedHistory[]> {
  const { db, close } = openDatabase({ type: "url", url: database.url });
  const repo = createHistoryRepo(db);
  const histories: RecordedHistory[] = [];
  for (const id of await repo.ids("", 100)) {
    const history = await repo.read(id);
    if (history === undefined) throw new Error(`run ${id} is gone`);
    const { definitions, journal, loaded, outputs } = history;
    const definition = definitions[loaded.definitionHash] as unknown as WorkflowDefinition;
    const { input, parent, priority } = loaded.run;
    histories.push({ id, definition, input, parent, priority, journal, outputs });
  }
  await close();
  return histories;
}

describe("replayHistory()", () => {
  test("leads real runs that use every feature to the journal that was stored", async () => {
    {
      await using node = await openTestHost({
        url: database.url,
        workflows: everyFeature,
        runAgent: featureAgent,
      });
      await driveEverything(node);
      await driveSaga(node);
    }
    const histories = await recordedRuns();
    expect(histories).toHaveLength(3);
    for (const history of histories) {
      expect(replayHistory(history)).toMatchObject({
        difference: null,
        adopted: [],
        patches: true,
        compared: history.journal.length,
      });
    }
  });
});
