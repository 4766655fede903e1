/**
 * A node of its own that fires schedules, for tests that kill it.
 *
 * Arguments: database, migrations, name, and where it stands still: `before-start` (the decision is stored,
 * the run is not), `after-start` (the run is stored, the schedule does not know it yet), or `never`.
 *
 * @module
 */

import { openDatabase } from "../../../../db/database.ts";
import { createScheduleRepo } from "../../../../db/schedule-repo.ts";
import { createFiring } from "../../../../runtime/schedules/firing.ts";
import type { WorkflowsPort } from "../../../../runtime/system.ts";
import { openTestHost } from "../../../support/workflow-host.ts";

const [url = "", migrations = "", nodeId = "", halt = "never"] = process.argv.slice(2);

const node = await openTestHost({
  url,
  migrations,
  nodeId,
  runAgent: async () => ({ type: "succeeded", output: null }),
  onFinished: (runId) => firing.runEnded(runId),
});
const start: WorkflowsPort["start"] = async (request, by) => {
  const run = halt === "before-start" ? undefined : await node.workflows.start(request, by);
  if (run !== undefined && halt === "never") return run;
  console.log(JSON.stringify({ halted: request.idempotencyKey }));
  return await new Promise(() => undefined);
};
const firing = createFiring({
  repo: createScheduleRepo(openDatabase({ type: "url", url }).db),
  workflows: () => ({ ...node.workflows, start }),
  knows: () => true,
  log: {
    debug: () => undefined,
    info: () => undefined,
    warn: (message, fields) => console.error(message, fields),
    error: (message, fields) => console.error(message, fields),
  },
});
firing.wake();
console.log(JSON.stringify({ ready: nodeId }));
