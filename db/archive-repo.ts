/**
 * Archived runs as they are read: one row each, that still answers what was asked of the live rows.
 *
 * @module
 */

import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants } from "node:zlib";
import { eq } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import { blockedTask, type RunTimer, type TaskState } from "../machines/run/state.ts";
import type { Database } from "./database.ts";
import type { HistoryEntry } from "./history-repo.ts";
import type { LoadedRun } from "./run-repo.ts";
import { archivedRuns } from "./schema/workflows.ts";
import type { RunRow, TaskRow } from "./view-repo.ts";

const compress = promisify(brotliCompress);
const decompress = promisify(brotliDecompress);
/** Two thirds of the size of the fastest quality, at a tenth of the time of the best. */
const quality = 5;
/** A body of another form was written by newer code. */
const bodyForm = 1;

/** A command as it was answered. */
export interface ArchivedCommand {
  readonly key: string;
  readonly request: string;
  readonly answer: Json;
  readonly at: string;
}

/** All that was known of a run, but for what its row's columns hold. */
export interface ArchivedRun {
  readonly row: RunRow;
  readonly attributes: Readonly<Record<string, Json>>;
  /** Its definition is stored under its hash. */
  readonly loaded: Omit<LoadedRun, "definition">;
  /** In the order of the definition. */
  readonly tasks: readonly TaskRow[];
  readonly journal: readonly HistoryEntry[];
  readonly commands: readonly ArchivedCommand[];
}

interface Body extends Pick<ArchivedRun, "tasks" | "journal" | "commands"> {
  readonly form: typeof bodyForm;
  readonly loaded: Omit<ArchivedRun["loaded"], "run"> & {
    readonly run: Omit<LoadedRun["run"], "tasks" | "timers"> & {
      readonly tasks: readonly TaskState[];
      readonly timers: readonly (readonly [string, RunTimer])[];
    };
  };
}

export async function packRun({
  commands,
  journal,
  loaded,
  tasks,
}: Omit<ArchivedRun, "row" | "attributes">): Promise<Uint8Array> {
  const { tasks: states, timers, ...run } = loaded.run;
  const body: Body = {
    form: bodyForm,
    loaded: { ...loaded, run: { ...run, tasks: [...states.values()], timers: [...timers] } },
    tasks,
    journal,
    commands,
  };
  return await compress(JSON.stringify(body), {
    params: { [constants.BROTLI_PARAM_QUALITY]: quality },
  });
}

async function unpack(packed: Uint8Array): Promise<Body> {
  const body = JSON.parse((await decompress(packed)).toString()) as Body;
  if (body.form === bodyForm) return body;
  throw new Error(`Cannot read an archived run: it was written in form ${String(body.form)}`);
}

/** Undefined when no such run is archived. */
export async function readArchived(
  db: Pick<Database, "select">,
  id: string,
): Promise<ArchivedRun | undefined> {
  const [found] = await db.select().from(archivedRuns).where(eq(archivedRuns.id, id));
  if (found === undefined) return undefined;
  const { commands, journal, loaded, tasks } = await unpack(found.body);
  const { tasks: states, timers, ...run } = loaded.run;
  return {
    row: archivedRow(found),
    attributes: found.attributes as ArchivedRun["attributes"],
    loaded: {
      ...loaded,
      run: {
        ...run,
        // A field that tasks did not have then has what it begins with.
        tasks: new Map(
          states.map((task) => [task.key, { ...blockedTask(task.key, task.plan, 1), ...task }]),
        ),
        timers: new Map(timers),
      },
    },
    tasks,
    journal,
    commands,
  };
}

export function archivedRow(found: {
  readonly summary: unknown;
  readonly archivedAt: Date;
}): RunRow {
  return { ...(found.summary as RunRow), archivedAtMs: found.archivedAt.getTime() };
}
