/**
 * What must hold of every run, whatever was killed: read from the tables, the journal, and the ledger
 * of what agents did. Each check returns what contradicts it, so that a failure shows it.
 *
 * @module
 */

import type { Sql } from "postgres";
import { expect } from "vitest";
import type { Database } from "../../db/database.ts";
import { createSlotRepo } from "../../db/slot-repo.ts";
import { auditRuns } from "../../runtime/history/audit.ts";
import { napMs } from "./crash-workload.ts";
import type { Arrival } from "./ledger.ts";

export interface Evidence {
  readonly db: Database;
  readonly sql: Sql;
  /** Ids by key, of starts that were acknowledged. */
  readonly acknowledged: ReadonlyMap<string, string>;
  readonly arrivals: readonly Arrival[];
}

/** How a run of each workflow has to end. */
const ends: Readonly<Record<string, readonly string[]>> = {
  everything: ["completed"],
  part: ["completed"],
  saga: ["failed"],
  endless: ["cancelled"],
  "endless-part": ["cancelled"],
  alone: ["completed"],
  busy: ["cancelled"],
  refused: ["parked"],
  // Completed, or open with its task parked.
  once: ["completed", "running"],
};

/** I1. */
export async function everyRunEnds({ acknowledged, sql }: Evidence): Promise<void> {
  const runs = await sql<
    { id: string; key: string | null; workflow: string; status: string; error: unknown }[]
  >`select id, idempotency_key as key, workflow, status, error from spectra.workflows`;
  const byKey = new Map(runs.map((run) => [run.key, run.id]));
  const lost = [...acknowledged].filter(([key, id]) => byKey.get(key) !== id);
  expect(lost, "acknowledged and not there").toEqual([]);
  const odd = runs.filter(({ workflow, status }) => ends[workflow]?.includes(status) !== true);
  expect(odd, "ended otherwise").toEqual([]);
  const open = await sql`
    select t.workflow_id, t.key, t.status from spectra.tasks t
    join spectra.workflows w on w.id = t.workflow_id
    where w.status = 'running' and t.status not in ('succeeded', 'parked')`;
  expect([...open], "open and not parked").toEqual([]);
}

/** I2: one result of each task in the journal, and nothing runs after it. */
export async function resultsApplyOnce({ sql }: Evidence): Promise<void> {
  const twice = await sql`
    select workflow_id, payload->>'task' as task, count(*)::int as results from spectra.journal
    where type = 'task.succeeded' group by 1, 2 having count(*) > 1`;
  expect([...twice], "results applied twice").toEqual([]);
  const again = await sql`
    select j.workflow_id, j.payload->>'task' as task, later.type from spectra.journal j
    join spectra.journal later on later.workflow_id = j.workflow_id and later.seq > j.seq
      and later.payload->>'task' = j.payload->>'task'
      and later.type in ('task.dispatched', 'task.started')
    where j.type = 'task.succeeded'`;
  expect([...again], "ran again after its result").toEqual([]);
}

/** I3: every result has its effect, no attempt had two, and `atMostOnce` had one at most. */
export async function attemptsHold({ arrivals, sql }: Evidence): Promise<void> {
  const tasks = await sql<
    {
      run: string;
      workflow: string;
      key: string;
      attempt: number;
      failures: number;
      done: boolean;
    }[]
  >`select t.workflow_id as run, w.workflow, t.key, t.attempt, t.failures,
      t.status in ('succeeded', 'compensated') and t.agent is not null
        and not (t.extras ? 'left') as done
    from spectra.tasks t join spectra.workflows w on w.id = t.workflow_id`;
  const seen = new Map<string, string[]>();
  for (const { atMs, by, key, attempt, kind } of arrivals) {
    const id = `${key}/${attempt}/${kind}`;
    seen.set(id, [...(seen.get(id) ?? []), `${by} at ${atMs}`]);
  }
  const twice = [...seen].filter(([, times]) => times.length > 1);
  expect(await withJournals(sql, twice), "an attempt ran twice").toEqual([]);
  const byTask = new Map<string, Arrival[]>();
  for (const one of arrivals) byTask.set(one.key, [...(byTask.get(one.key) ?? []), one]);
  const without = tasks.filter(({ done, run, key }) => done && !byTask.has(`${run}/${key}`));
  expect(without, "a result without an effect").toEqual([]);
  const beyond = tasks.filter(({ run, key, attempt, failures }) => {
    const newest = Math.max(0, ...(byTask.get(`${run}/${key}`) ?? []).map((one) => one.attempt));
    return newest > attempt || failures > 5;
  });
  expect(beyond, "more attempts than counted, or allowed").toEqual([]);
  const oneOnly = tasks.filter(({ workflow }) => workflow === "once");
  const repeated = oneOnly.filter(({ run, key }) => (byTask.get(`${run}/${key}`)?.length ?? 0) > 1);
  expect(repeated, "atMostOnce happened twice").toEqual([]);
}

/** What the journals say of those runs: a failure that comes once in a hundred kills must explain itself. */
async function withJournals(
  sql: Evidence["sql"],
  found: readonly (readonly [string, readonly string[]])[],
): Promise<string[]> {
  const told: string[] = [];
  for (const [id, times] of found) {
    const [run = "", task = ""] = id.split("/");
    const entries = await sql<{ line: string }[]>`
      select concat_ws(' ', seq, (extract(epoch from at) * 1000)::bigint, type, actor, payload) as line
      from spectra.journal where workflow_id = ${run}
        and (payload->>'task' = ${task} or type like 'run.%') order by seq`;
    told.push([id, ...times, ...entries.map(({ line }) => line)].join("\n"));
  }
  return told;
}

/** Each transaction of a task left its row once; those that were undone left none. */
export async function transactionsCommitOnce({ sql }: Evidence): Promise<void> {
  const wrong = await sql`
    select t.workflow_id, t.key, t.status, count(b.task)::int as rows from spectra.tasks t
    left join bookings b on b.task = t.workflow_id || '/' || t.key
    where t.action = 'book' group by 1, 2, 3
    having count(b.task) <> case t.status when 'succeeded' then 1 else 0 end`;
  expect([...wrong], "committed otherwise than once").toEqual([]);
}

/** I8: what waits for a sleep begins after it, by the ledger's clock; each sleep ends once. */
export async function timersFireOnce({ arrivals, sql }: Evidence): Promise<void> {
  const naps = await sql<{ run: string; beganMs: number; endings: number }[]>`
    select j.workflow_id as run, (extract(epoch from min(j.at)) * 1000)::float8 as "beganMs",
      (select count(*)::int from spectra.journal e where e.workflow_id = j.workflow_id
        and e.type = 'task.succeeded' and e.payload->>'task' = 'nap') as endings
    from spectra.journal j where j.type = 'task.waiting' and j.payload->>'task' = 'nap'
    group by j.workflow_id`;
  expect(naps.length).toBeGreaterThan(0);
  expect(
    naps.filter(({ endings }) => endings !== 1),
    "slept otherwise than once",
  ).toEqual([]);
  const woken = new Map(
    arrivals.filter(({ task }) => task === "woken").map((one) => [one.workflowId, one.atMs]),
  );
  const early = naps.filter(({ run, beganMs }) => (woken.get(run) ?? 0) < beganMs + napMs - 1);
  expect(early, "woken early").toEqual([]);
}

/** I9: what finished is undone, once in the history, the last first. */
export async function sagasAreUndone({ arrivals, sql }: Evidence): Promise<void> {
  const sagas = await sql<{ id: string; tasks: Record<string, string>; undone: string[] }[]>`
    select w.id, jsonb_object_agg(t.key, t.status) as tasks,
      (select coalesce(array_agg(j.payload->>'task' order by j.seq), '{}') from spectra.journal j
        where j.workflow_id = w.id and j.type = 'task.compensated') as undone
    from spectra.workflows w join spectra.tasks t on t.workflow_id = w.id
    where w.workflow = 'saga' group by w.id`;
  expect(sagas.length).toBeGreaterThan(0);
  const wrong = sagas.filter(({ tasks, undone }) => {
    const isUndone = tasks["book"] === "compensated" && tasks["pay"] === "compensated";
    return !isUndone || undone.join() !== "pay,book";
  });
  expect(wrong, "undone otherwise").toEqual([]);
  const order = sagas.filter(({ id }) => {
    const undos = arrivals.filter(({ kind, workflowId }) => kind === "undo" && workflowId === id);
    const tasks = undos.map(({ task }) => task);
    return !tasks.includes("pay") || tasks.lastIndexOf("pay") > tasks.indexOf("book");
  });
  expect(order, "undone in another order").toEqual([]);
}

/** I5, I7: numbers without gaps, and patches that fold to the rows that are stored. */
export async function journalsAreWhole({ db, sql }: Evidence): Promise<void> {
  const found = await auditRuns(db);
  // Such a run is parked because its journal cannot be written: its row alone says so.
  const parked = await sql<{ id: string }[]>`
    select id from spectra.workflows where status = 'parked'`;
  const ids = new Set(parked.map(({ id }) => id));
  const isKnown = ({ path, workflowId }: (typeof found)[number]): boolean =>
    ids.has(workflowId) && (path === "status" || path === "error");
  const odd = found.filter((finding) => !isKnown(finding));
  expect(odd, "journals that do not fold").toEqual([]);
}

/** Nothing waits to be done, and nobody holds anything. */
export async function nothingIsLeft({ db, sql }: Evidence): Promise<void> {
  const left = await sql`
    select 'outbox' as place, o.workflow_id, o.effect::text as what from spectra.outbox o
    union all select 'mailbox', m.workflow_id, m.event::text from spectra.mailbox m
      join spectra.workflows w on w.id = m.workflow_id where w.status <> 'parked'
    union all select 'timers', t.workflow_id, t.key from spectra.timers t
      join spectra.workflows w on w.id = t.workflow_id
      where w.status in ('completed', 'failed', 'cancelled')
    union all select 'nodes', n.node_id, n.incarnation from spectra.nodes n`;
  expect([...left], "left over").toEqual([]);
  expect(await createSlotRepo(db).holders(), "slots held").toEqual([]);
}
