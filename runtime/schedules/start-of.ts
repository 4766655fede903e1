/**
 * The start of a run for one time of a schedule: the same at each try, and on each node.
 *
 * @module
 */

import type { ScheduleSpec } from "../../machines/schedule-spec.ts";
import type { StartWorkflow } from "../system.ts";

export function startOf(id: string, spec: ScheduleSpec, timeMs: number): StartWorkflow {
  const time = new Date(timeMs).toISOString();
  const { attributes, input, priority, tenant, timeInput, workflow } = spec;
  return {
    workflow,
    input: { ...input, ...(timeInput === undefined ? {} : { [timeInput]: time }) },
    ...(priority === undefined ? {} : { priority }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(attributes === undefined ? {} : { attributes }),
    scheduleId: id,
    idempotencyKey: `schedule/${id}/${time}`,
  };
}
