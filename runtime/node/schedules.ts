/**
 * The schedules of a node: it fires those of the whole database, as every node does.
 *
 * @module
 */

import type { ChildSpec } from "../../actors/tree/child-spec.ts";
import { createScheduleRepo } from "../../db/schedule-repo.ts";
import { untilStopped } from "../node-children.ts";
import { createFiring } from "../schedules/firing.ts";
import { createScheduleService } from "../schedules/schedule-service.ts";
import type { NodeContext } from "./context.ts";

/** A start or a cancel that is under way may wait for the run's owner. */
const schedulesShutdownMs = 15_000;

export function schedulesChild({ clock, log, parts, registered }: NodeContext): ChildSpec {
  return {
    id: "schedules",
    shutdownMs: schedulesShutdownMs,
    start: async () => {
      const repo = createScheduleRepo(parts.database.current().db);
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
