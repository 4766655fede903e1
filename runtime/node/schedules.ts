/**
 * The schedules of a node: it fires those of the whole database, as every node does.
 *
 * @module
 */

import type { ChildSpec } from "../../actors/tree/child-spec.ts";
import type { Database } from "../../db/database.ts";
import { createScheduleRepo, type ScheduleRepo } from "../../db/schedule-repo.ts";
import type { CrashSwitch } from "../engine/crash-points.ts";
import { untilStopped } from "../node-children.ts";
import { createFiring } from "../schedules/firing.ts";
import { createScheduleService } from "../schedules/schedule-service.ts";
import type { NodeContext } from "./context.ts";

/** A start or a cancel that is under way may wait for the run's owner. */
const schedulesShutdownMs = 15_000;

export function schedulesChild({ clock, crash, log, parts, registered }: NodeContext): ChildSpec {
  return {
    id: "schedules",
    shutdownMs: schedulesShutdownMs,
    start: async () => {
      const repo = openScheduleRepo(parts.database.current().db, crash);
      const knows = (workflow: string): boolean => registered.has(workflow);
      const firing = createFiring({
        repo,
        workflows: () => parts.workflows.current().service,
        knows,
        log,
      });
      parts.schedules.set({
        firing,
        service: createScheduleService({ repo, firing, knows, clock }),
      });
      firing.wake();
      return untilStopped(() => firing.stop());
    },
  };
}

/** With its crash points: the decision that a time is due is one of them, the start is the run's own. */
export function openScheduleRepo(db: Database, crash: CrashSwitch): ScheduleRepo {
  return crash.around(createScheduleRepo(db), {
    now: null,
    due: null,
    list: null,
    get: null,
    insert: null,
    commit: "schedule.fire",
    remove: null,
    fires: null,
    taken: null,
    statuses: null,
  });
}
