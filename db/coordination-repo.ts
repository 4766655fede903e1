/**
 * Rows of groups, barriers, reservations and votes.
 * Each decision is one statement on the database clock; asking again with the same id changes nothing.
 *
 * @module
 */

import type { JSONValue, Sql } from "postgres";
import type { BarrierParticipant } from "../machines/barrier.ts";
import type { Json } from "../machines/error-code.ts";
import type { Resources } from "../machines/resource-budget.ts";
import type { Ballot } from "../machines/vote.ts";

export interface BarrierRow {
  readonly deadlinePassed: boolean;
  readonly participants: readonly BarrierParticipant[];
}

export type VoteOutcome = "accepted" | "rejected";

export interface VoteRow {
  readonly voters: readonly string[];
  readonly required: number;
  readonly outcome: VoteOutcome | null;
  /** In the order in which they came. */
  readonly ballots: readonly Ballot[];
}

export interface CoordinationRepo {
  /** Adds members that the group does not have yet; takes none away. */
  upsertGroup(id: string, members: readonly string[]): Promise<void>;
  groupMembers(id: string): Promise<readonly string[]>;
  insertBarrier(id: string, participants: readonly string[], timeoutMs: number): Promise<void>;
  /** Marks the arrival when it comes before the deadline; false when `participant` is not expected there. */
  arrive(id: string, participant: string): Promise<boolean>;
  barrier(id: string): Promise<BarrierRow | undefined>;
  /** True when the reservation stands, new or from before (its lease is then renewed). */
  reserve(
    reservation: { id: string; node: string; holder: string; leaseMs: number },
    need: Resources,
    budget: Resources,
  ): Promise<boolean>;
  reserved(node: string): Promise<Resources>;
  release(id: string): Promise<void>;
  /** Releases all that `holder` has; returns how many. */
  releaseHolder(holder: string): Promise<number>;
  insertVote(vote: {
    id: string;
    proposal: Json;
    voters: readonly string[];
    required: number;
    timeoutMs: number;
  }): Promise<void>;
  /** The first ballot of a voter stands; none is taken once the vote is decided. */
  insertBallot(voteId: string, ballot: Ballot): Promise<void>;
  vote(id: string): Promise<VoteRow | undefined>;
  /** The first decision stands; returns the one that does. */
  decideVote(id: string, outcome: VoteOutcome): Promise<VoteOutcome>;
}

export function createCoordinationRepo(sql: Sql): CoordinationRepo {
  return {
    ...groupRows(sql),
    ...barrierRows(sql),
    ...reservationRows(sql),
    ...voteRows(sql),
  };
}

function groupRows(sql: Sql): Pick<CoordinationRepo, "upsertGroup" | "groupMembers"> {
  return {
    upsertGroup: async (id, members) => {
      await sql`
        with made as (
          insert into spectra.groups (id) values (${id})
          on conflict (id) do update set id = excluded.id returning id)
        insert into spectra.group_members (group_id, member)
        select made.id, member from made, unnest(${[...members]}::text[]) as member
        on conflict do nothing`;
    },
    groupMembers: async (id) => {
      const rows = await sql<{ member: string }[]>`
        select member from spectra.group_members where group_id = ${id} order by member`;
      return rows.map((row) => row.member);
    },
  };
}

function barrierRows(sql: Sql): Pick<CoordinationRepo, "insertBarrier" | "arrive" | "barrier"> {
  return {
    insertBarrier: async (id, participants, timeoutMs) => {
      await sql`
        with made as (
          insert into spectra.barriers (id, deadline_at)
          values (${id}, now() + ${timeoutMs} * interval '1 millisecond')
          on conflict do nothing returning id)
        insert into spectra.barrier_arrivals (barrier_id, participant)
        select made.id, participant from made, unnest(${[...participants]}::text[]) as participant`;
    },
    arrive: async (id, participant) => {
      const rows = await sql`
        update spectra.barrier_arrivals a
        set arrived_at = coalesce(a.arrived_at, case when b.deadline_at > now() then now() end)
        from spectra.barriers b
        where b.id = a.barrier_id and a.barrier_id = ${id} and a.participant = ${participant}
        returning 1`;
      return rows.length === 1;
    },
    barrier: async (id) => {
      const rows = await sql<{ participant: string; arrived: boolean; deadlinePassed: boolean }[]>`
        select a.participant, a.arrived_at is not null as arrived,
          b.deadline_at <= now() as "deadlinePassed"
        from spectra.barriers b join spectra.barrier_arrivals a on a.barrier_id = b.id
        where b.id = ${id} order by a.participant`;
      const [first] = rows;
      if (first === undefined) return undefined;
      const participants = rows.map(({ participant, arrived }) => ({ participant, arrived }));
      return { deadlinePassed: first.deadlinePassed, participants };
    },
  };
}

function reservationRows(
  sql: Sql,
): Pick<CoordinationRepo, "reserve" | "reserved" | "release" | "releaseHolder"> {
  return {
    reserve: async ({ id, node, holder, leaseMs }, need, budget) =>
      sql.begin(async (tx) => {
        // Two reservations at once must not both see the same free share.
        await tx`select pg_advisory_xact_lock(hashtextextended(${`spectra.reservations:${node}`}, 0))`;
        const rows = await tx`
          insert into spectra.reservations (id, node, holder, cpu, memory_mb, lease_ends_at)
          select ${id}, ${node}, ${holder}, ${need.cpu}::float8, ${need.memoryMb}::float8,
            now() + ${leaseMs} * interval '1 millisecond'
          from (select coalesce(sum(cpu), 0) as cpu, coalesce(sum(memory_mb), 0) as memory_mb
            from spectra.reservations
            where node = ${node} and lease_ends_at > now() and id <> ${id}) as taken
          where taken.cpu + ${need.cpu}::float8 <= ${budget.cpu}::float8 + 1e-9
            and taken.memory_mb + ${need.memoryMb}::float8 <= ${budget.memoryMb}::float8 + 1e-9
          on conflict (id) do update
            set node = excluded.node, holder = excluded.holder, cpu = excluded.cpu,
              memory_mb = excluded.memory_mb, lease_ends_at = excluded.lease_ends_at
          returning 1`;
        return rows.length === 1;
      }),
    reserved: async (node) => {
      const rows = await sql<{ cpu: number; memoryMb: number }[]>`
        select coalesce(sum(cpu), 0)::float8 as cpu, coalesce(sum(memory_mb), 0)::float8 as "memoryMb"
        from spectra.reservations where node = ${node} and lease_ends_at > now()`;
      return rows[0] ?? { cpu: 0, memoryMb: 0 };
    },
    release: async (id) => {
      await sql`delete from spectra.reservations where id = ${id}`;
    },
    releaseHolder: async (holder) => {
      const result = await sql`delete from spectra.reservations where holder = ${holder}`;
      return result.count;
    },
  };
}

function voteRows(
  sql: Sql,
): Pick<CoordinationRepo, "insertVote" | "insertBallot" | "vote" | "decideVote"> {
  return {
    insertVote: async ({ id, proposal, voters, required, timeoutMs }) => {
      await sql`
        insert into spectra.votes (id, proposal, voters, required, timeout_ms)
        values (${id}, ${sql.json(proposal as JSONValue)}, ${[...voters]}, ${required}, ${timeoutMs})
        on conflict do nothing`;
    },
    insertBallot: async (voteId, { voter, approve, reason }) => {
      await sql`
        insert into spectra.ballots (vote_id, voter, approve, reason, cast_at)
        select id, ${voter}, ${approve}, ${reason}, clock_timestamp()
        from spectra.votes where id = ${voteId} and outcome is null
        for update
        on conflict do nothing`;
    },
    vote: async (id) => {
      const rows = await sql<Omit<VoteRow, "ballots">[]>`
        select voters, required, outcome from spectra.votes where id = ${id}`;
      const [found] = rows;
      if (found === undefined) return undefined;
      const ballots = await sql<Ballot[]>`
        select voter, approve, reason from spectra.ballots where vote_id = ${id}
        order by cast_at, voter`;
      return { ...found, ballots: [...ballots] };
    },
    decideVote: async (id, outcome) => {
      const rows = await sql<{ outcome: VoteOutcome }[]>`
        update spectra.votes
        set outcome = coalesce(outcome, ${outcome}), decided_at = coalesce(decided_at, now())
        where id = ${id} returning outcome`;
      return rows[0]?.outcome ?? outcome;
    },
  };
}
