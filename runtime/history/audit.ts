/**
 * Checks that the journal tells the truth: without gaps, and folding it gives exactly the stored rows.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import type { Database } from "../../db/database.ts";
import { createHistoryRepo, type RunHistory } from "../../db/history-repo.ts";
import type { RunState } from "../../machines/run/state.ts";
import type { AuditFinding as Finding } from "../system/history.ts";
import { stateAt } from "./state-at.ts";

/** Runs whose ids are read at once. */
const pageSize = 100;
/** Findings in one run at most: a journal that is off by one entry differs everywhere. */
const findingLimit = 20;

/** Checks every stored run; each in one consistent look, so the engine may be at work. */
export async function auditRuns(db: Database): Promise<Finding[]> {
  const repo = createHistoryRepo(db);
  const findings: Finding[] = [];
  for (let after = "", page = await repo.ids(after, pageSize); page.length > 0; ) {
    for (const id of page) {
      const history = await repo.read(id);
      if (history !== undefined) findings.push(...auditRun(history));
    }
    after = page.at(-1) ?? after;
    page = await repo.ids(after, pageSize);
  }
  return findings;
}

export function auditRun(history: RunHistory): Finding[] {
  const { journal, loaded } = history;
  const workflowId = loaded.run.id;
  const gap = journal.findIndex(({ seq }, index) => seq !== index + 1);
  if (gap >= 0 || journal.length !== loaded.run.seq) {
    const found = gap >= 0 ? `${journal[gap]?.seq} follows ${gap}` : `it ends at ${journal.length}`;
    const detail = `the run is at ${loaded.run.seq}, in the journal ${found}`;
    return [{ workflowId, rule: "gap-free", path: "", detail }];
  }
  try {
    const { state } = stateAt(history, journal.length);
    return differences(state, loaded.run)
      .slice(0, findingLimit)
      .map((one) => ({ workflowId, rule: "fold", ...one }));
  } catch (error) {
    return [{ workflowId, rule: "readable", path: "", detail: String(error) }];
  }
}

interface Difference {
  readonly path: string;
  readonly detail: string;
}

function differences(folded: RunState, stored: RunHistory["loaded"]["run"]): Difference[] {
  const { tasks, timers, ...rest } = folded;
  // What is derived from tasks has no row, and outputs stand with their tasks.
  const derived = new Set(["counts", "inFlight", "waiting", "outputs"]);
  const run = Object.fromEntries(Object.entries(rest).filter(([name]) => !derived.has(name)));
  const { tasks: taskRows, timers: timerRows, ...row } = stored;
  return [
    ...compare("", run, row),
    ...compareAll("tasks", tasks, taskRows),
    ...compareAll("timers", timers, timerRows),
  ];
}

function compareAll(
  name: string,
  folded: ReadonlyMap<string, object>,
  stored: ReadonlyMap<string, object>,
): Difference[] {
  return [...new Set([...folded.keys(), ...stored.keys()])].flatMap((key) => {
    const [one, other] = [folded.get(key), stored.get(key)];
    if (one === undefined) return [{ path: `${name}.${key}`, detail: "only in the rows" }];
    if (other === undefined) return [{ path: `${name}.${key}`, detail: "only in the journal" }];
    return compare(`${name}.${key}.`, one, other);
  });
}

/** Both sides as JSON: what has been stored knows no `undefined`. */
function compare(prefix: string, folded: object, stored: object): Difference[] {
  const [one, other] = [asJson(folded), asJson(stored)];
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].flatMap((field) =>
    isDeepStrictEqual(one[field], other[field])
      ? []
      : [
          {
            path: `${prefix}${field}`,
            detail: `folded ${JSON.stringify(one[field])}, stored ${JSON.stringify(other[field])}`,
          },
        ],
  );
}

function asJson(value: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
}
