/**
 * Stores a run that begins in the middle: as its owner would have, had it taken the turns itself.
 *
 * @module
 */

import { sql } from "drizzle-orm";
import type { Json } from "../machines/error-code.ts";
import type { RunFields } from "../machines/run/state.ts";
import type { Database } from "./database.ts";
import { type StoredDefinition, storeDefinition } from "./run-repo.ts";
import { workflows } from "./schema/workflows.ts";
import { type CommittedRun, createTurnRepo } from "./turn-repo.ts";

export interface NewFork extends StoredDefinition {
  readonly title: string;
  readonly input: Json;
  readonly attributes: Readonly<Record<string, Json>>;
  readonly tenant: string;
  readonly forkedFrom: { readonly id: string; readonly seq: number };
  /** All tasks are new; `epoch` is 1. */
  readonly committed: CommittedRun;
  /** Keys of the definition's tasks in their order. */
  readonly order: readonly string[];
}

/** Its owner until it is stored; then any node takes it over, and performs what it left in the outbox. */
const founder = "fork";

export interface ForkRepo {
  /** Database clock. */
  nowMs(): Promise<number>;
  insert(fork: NewFork): Promise<void>;
}

export function createForkRepo(db: Database): ForkRepo {
  return {
    nowMs: async () => {
      const [row] = await db.execute<{ now_ms: number }>(sql`
        select (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`);
      return Math.floor(row?.now_ms ?? 0);
    },
    insert: (fork) =>
      db.transaction(async (tx) => {
        const { run } = fork.committed;
        // No run may have used the latest definition yet.
        await storeDefinition(tx, fork);
        await tx.insert(workflows).values(rowOf(fork, run));
        await createTurnRepo(tx as unknown as Database).commit(founder, [fork.committed], []);
        await tx.execute(sql`
          update spectra.tasks t set position = o.position - 1
          from jsonb_array_elements_text(${JSON.stringify(fork.order)}::jsonb)
            with ordinality as o(plan, position)
          where t.workflow_id = ${run.id} and t.plan = o.plan`);
        await tx.execute(sql`update spectra.workflows set owner = null where id = ${run.id}`);
      }),
  };
}

function rowOf(fork: NewFork, run: RunFields) {
  const { attributes, definitionHash, forkedFrom, input, tenant, title, workflow } = fork;
  return {
    id: run.id,
    workflow,
    title,
    definitionHash,
    status: run.status,
    place: run.place,
    priority: run.priority,
    input,
    attributes,
    tenant,
    rootId: run.id,
    forkedFrom: forkedFrom.id,
    forkedAtSeq: forkedFrom.seq,
    owner: founder,
    epoch: 1,
  };
}
