/** The integration test of week 4: an attempt that died in the middle does not fail the next one. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { extraRunId } from "../../../../actors/agents/testbed/extra-messages.ts";
import { runComprehensiveIntegrationTests } from "../../../../actors/agents/testbed/run-comprehensive-integration-tests.ts";
import { dedupSettings } from "../../../../actors/archive/dedup-settings.ts";
import { createAgentContext } from "../../../support/agent-context.ts";
import { loadMails } from "../../../support/mail-archive.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";

const mails = 120;
const input = {
  settings: dedupSettings.parse({
    shingleWords: 4,
    permutations: 128,
    bands: 32,
    rows: 4,
    threshold: 0.75,
    minShingles: 12,
    seed: 1,
    bloom: { expectedMembers: 5_000, falsePositiveRate: 0.01 },
  }),
};

let db: TestDatabase;
let dataDir: string;

beforeAll(async () => {
  db = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), "spectra-testbed-"));
  await loadMails(db.sql, mails);
});
afterAll(async () => {
  await db.drop();
  await rm(dataDir, { recursive: true });
});

async function countOf(runId?: string): Promise<number> {
  const [row] = await db.sql<{ count: number }[]>`
    select count(*)::int as count from archive.messages
    where ${runId === undefined ? db.sql`true` : db.sql`run_id = ${runId}`}`;
  return row!.count;
}

test("an attempt passes after one that died and left its messages", async () => {
  const host = { dataDir, embeddedDatabase: false, redisUrl: undefined };
  const lost = postgres(db.url, { max: 4, onnotice: () => undefined });
  const ctx = createAgentContext(lost, { host });
  const dying = {
    ...ctx,
    heartbeat: (progress?: { readonly message?: string }) => {
      // The clean-up of the attempt needs the connection too, and so leaves everything.
      if (progress?.message === "search") void lost.end({ timeout: 0 });
    },
  };
  await expect(runComprehensiveIntegrationTests.run(dying, input)).rejects.toThrow();
  expect(await countOf(extraRunId(ctx, "extra"))).toBe(50);

  const second = createAgentContext(db.sql, { host, attempt: 2 });
  const output = runComprehensiveIntegrationTests.output.parse(
    await runComprehensiveIntegrationTests.run(second, input),
  ) as { checks: { name: string; figures: Record<string, number> }[] };
  const cleanUp = output.checks.find(({ name }) => name === "clean up");
  expect(cleanUp?.figures).toMatchObject({ messagesBefore: mails, messagesAfter: mails });
  expect(await countOf()).toBe(mails);
});
