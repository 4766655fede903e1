/**
 * The report of Phase 1 as the API and the report file show it, as far as tests compare it.
 *
 * @module
 */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SupervisorProcess } from "./supervisor.ts";

export interface PhaseReportView {
  readonly workflowId: string;
  readonly archive: {
    readonly source: string;
    readonly read: number;
    readonly migrated: number;
    readonly rejected: number;
  };
  readonly tasks: readonly { readonly key: string; readonly figures: unknown }[];
}

/** Over the API, of a run that has completed. */
export function reportOf(supervisor: SupervisorProcess, id: string): Promise<PhaseReportView> {
  return supervisor.get<PhaseReportView>(`/workflows/${id}/report`);
}

/** From the one report file that a data folder has. */
export async function reportBelow(dataDir: string): Promise<PhaseReportView> {
  const folder = join(dataDir, "reports");
  const names = (await readdir(folder)).filter((name) => name.endsWith(".json"));
  const [name] = names;
  if (name === undefined || names.length > 1) {
    throw new Error(`Cannot tell the report in "${folder}": it has ${names.length}`);
  }
  return JSON.parse(await readFile(join(folder, name), "utf8")) as PhaseReportView;
}

/** The output of a task. @throws If the report does not have this task. */
export function figuresOf({ tasks }: PhaseReportView, key: string): Record<string, unknown> {
  const task = tasks.find((candidate) => candidate.key === key);
  if (task === undefined) throw new Error(`Cannot compare task "${key}": it is not in the report`);
  return task.figures as Record<string, unknown>;
}

/** What a run found, in figures that do not depend on when things happened. */
export function countsOf(report: PhaseReportView): Record<string, unknown> {
  const { read, migrated, rejected } = report.archive;
  const { clusters } = figuresOf(report, "deduplication_implementation");
  const { compressedBodies } = figuresOf(report, "storage_layer_adaptation");
  return { read, migrated, rejected, clusters, compressedBodies };
}
