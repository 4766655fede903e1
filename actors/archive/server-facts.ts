/**
 * Asks a PostgreSQL server what an archive depends on: version, durability, room, connections, replicas.
 *
 * @module
 */

import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Sql } from "postgres";

export const oldestVersion = 150_000;
/** Extensions that later tasks use where they are there. */
const wantedExtensions = ["pg_stat_statements", "pg_trgm", "pgcrypto"];

export interface ServerFacts {
  readonly version: string;
  readonly versionNumber: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly extensions: readonly { name: string; available: boolean; installed: boolean }[];
  readonly connections: { readonly max: number; readonly used: number; readonly free: number };
}

const settingNames = [
  "wal_level",
  "fsync",
  "full_page_writes",
  "synchronous_commit",
  "max_wal_size",
  "shared_buffers",
  "work_mem",
  "maintenance_work_mem",
  "data_checksums",
  "server_encoding",
];

export async function readServerFacts(sql: Sql): Promise<ServerFacts> {
  const [server] = await sql<{ version: string; number: number; max: number; used: number }[]>`
    select current_setting('server_version') as version,
      current_setting('server_version_num')::int as number,
      current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int as max,
      (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as used`;
  const settings = await sql<{ name: string; value: string }[]>`
    select name, current_setting(name) as value from unnest(${settingNames}::text[]) as name
    order by name`;
  const extensions = await sql<{ name: string; installed: boolean }[]>`
    select name, installed_version is not null as installed from pg_available_extensions
    where name = any(${wantedExtensions})`;
  const max = server?.max ?? 0;
  const used = server?.used ?? 0;
  return {
    version: server?.version ?? "unknown",
    versionNumber: server?.number ?? 0,
    settings: Object.fromEntries(settings.map(({ name, value }) => [name, value])),
    extensions: wantedExtensions.map((name) => {
      const found = extensions.find((extension) => extension.name === name);
      return { name, available: found !== undefined, installed: found?.installed ?? false };
    }),
    connections: { max, used, free: Math.max(0, max - used) },
  };
}

export interface ReplicaFacts {
  readonly name: string;
  readonly state: string;
  readonly lagBytes: number | null;
  readonly lagMs: number | null;
}

/** State of each named standby (`application_name`); `absent` when it is not connected. */
export async function readReplicas(
  sql: Sql,
  names: readonly string[],
): Promise<readonly ReplicaFacts[]> {
  const rows = await sql<
    { name: string; state: string; lag_bytes: string | null; lag_ms: number | null }[]
  >`
    select application_name as name, state,
      pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) as lag_bytes,
      (extract(epoch from replay_lag) * 1000)::float8 as lag_ms
    from pg_stat_replication`;
  return names.map((name) => {
    const row = rows.find((one) => one.name === name);
    return {
      name,
      state: row?.state ?? "absent",
      lagBytes: row === undefined || row.lag_bytes === null ? null : Number(row.lag_bytes),
      lagMs: row?.lag_ms ?? null,
    };
  });
}

/** Free bytes of the disk that holds `folder`, or its nearest ancestor that exists. */
export async function freeDiskBytes(folder: string): Promise<number> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const facts = await statfs(at);
      return facts.bavail * facts.bsize;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "ENOENT" || dirname(at) === at) throw error;
    }
  }
}
