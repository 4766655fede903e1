/**
 * A workflow host that fires schedules, as a node does, on a database of the test.
 *
 * @module
 */

import { openDatabase } from "../../db/database.ts";
import { createScheduleRepo, type ScheduleRepo } from "../../db/schedule-repo.ts";
import { createFiring, type Firing } from "../../runtime/schedules/firing.ts";
import { createScheduleService } from "../../runtime/schedules/schedule-service.ts";
import type { SchedulesPort } from "../../runtime/system.ts";
import { openTestHost, type TestHost } from "./workflow-host.ts";

export interface ScheduleNode extends AsyncDisposable {
  readonly host: TestHost;
  readonly repo: ScheduleRepo;
  readonly firing: Firing;
  readonly schedules: SchedulesPort;
}

const quiet = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export async function openScheduleNode(
  options: Parameters<typeof openTestHost>[0],
): Promise<ScheduleNode> {
  let firing: Firing | undefined;
  const host = await openTestHost({
    ...options,
    onFinished: (runId) => firing?.runEnded(runId),
  });
  const database = openDatabase({ type: "url", url: options.url });
  const repo = createScheduleRepo(database.db);
  const known = new Set((options.workflows ?? []).map(({ id }) => id));
  const knows = (workflow: string): boolean => known.has(workflow);
  const made = createFiring({ repo, workflows: () => host.workflows, knows, log: quiet });
  firing = made;
  made.wake();
  const clock = { now: () => new Date() };
  return {
    host,
    repo,
    firing: made,
    schedules: createScheduleService({ repo, firing: made, knows, clock }),
    [Symbol.asyncDispose]: async () => {
      await made.stop();
      await host[Symbol.asyncDispose]();
      await database.close();
    },
  };
}
