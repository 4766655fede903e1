/**
 * The schema `archive` and its three roles: owner, writer, reader. None can log in.
 *
 * Roles belong to the whole server: several databases may share them, so that creating and dropping
 * them tolerates others who do the same at the same time.
 *
 * @module
 */

import type { Sql, TransactionSql } from "postgres";
import { AgentError } from "../../machines/error-code.ts";
import { databaseError } from "./database-error.ts";
import { transaction } from "./transaction.ts";

export const archiveRoles = {
  owner: "spectra_archive_owner",
  writer: "spectra_archive_writer",
  reader: "spectra_archive_reader",
} as const;

const roleNames = Object.values(archiveRoles);
/** Tries when another session changes the same roles. */
const maxTries = 10;
/** duplicate_object, unique_violation, undefined_object, internal_error ("tuple concurrently updated"). */
const contended = new Set(["42710", "23505", "42704", "XX000", "40P01"]);

export interface RolesReport {
  readonly schemaCreated: boolean;
  readonly created: readonly string[];
  /** Roles that do not exist, because the database user may not create them. */
  readonly denied: readonly string[];
}

/** Idempotent. `key` is remembered in comments, so that `dropArchiveSchema` drops only what it made. */
export async function createArchiveSchema(sql: Sql, key: string): Promise<RolesReport> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await transaction(sql, (tx) => createAll(tx, key));
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (typeof code === "string" && contended.has(code) && attempt < maxTries) continue;
      if (code === "42501") {
        throw new AgentError(
          "PRIVILEGE_MISSING",
          `Cannot set up the archive: the database user may not create a schema, grant it CREATE on the database (${String(error)})`,
          { cause: error },
        );
      }
      throw databaseError("set up the archive's schema and roles", error);
    }
  }
}

async function createAll(tx: TransactionSql, key: string): Promise<RolesReport> {
  const [schema] = await tx`select 1 from pg_namespace where nspname = 'archive'`;
  if (schema === undefined) {
    await tx`create schema if not exists archive`;
    await tx.unsafe(`comment on schema archive is ${literal(mark(key))}`);
  }
  const existing = new Set(await rolesThatExist(tx));
  const missing = roleNames.filter((name) => !existing.has(name));
  const mayCreate = await mayCreateRoles(tx);
  if (mayCreate) {
    for (const name of missing) {
      await tx.unsafe(`create role ${name} nologin`);
      await tx.unsafe(`comment on role ${name} is ${literal(mark(key))}`);
      if (name === archiveRoles.reader) {
        await tx.unsafe(`alter role ${name} set default_transaction_read_only = on`);
        await tx.unsafe(`alter role ${name} set statement_timeout = '60s'`);
      }
      existing.add(name);
    }
  }
  await grantAll(tx, existing);
  return {
    schemaCreated: schema === undefined,
    created: mayCreate ? missing : [],
    denied: mayCreate ? [] : missing,
  };
}

/** Also for tables that come later, by default privileges of the user who creates them. */
async function grantAll(tx: TransactionSql, existing: ReadonlySet<string>): Promise<void> {
  const grants = [
    { role: archiveRoles.owner, schema: "all", tables: "all" },
    { role: archiveRoles.writer, schema: "usage", tables: "select, insert, update, delete" },
    { role: archiveRoles.reader, schema: "usage", tables: "select" },
  ];
  for (const { role, schema, tables } of grants) {
    if (!existing.has(role)) continue;
    await tx.unsafe(`grant ${schema} on schema archive to ${role}`);
    await tx.unsafe(`grant ${tables} on all tables in schema archive to ${role}`);
    await tx.unsafe(
      `alter default privileges in schema archive grant ${tables} on tables to ${role}`,
    );
    if (role !== archiveRoles.reader) {
      await tx.unsafe(`grant usage, select on all sequences in schema archive to ${role}`);
      await tx.unsafe(
        `alter default privileges in schema archive grant usage, select on sequences to ${role}`,
      );
    }
  }
}

async function rolesThatExist(tx: Sql | TransactionSql): Promise<string[]> {
  const rows = await tx<{ rolname: string }[]>`
    select rolname from pg_roles where rolname = any(${[...roleNames]})`;
  return rows.map(({ rolname }) => rolname);
}

async function mayCreateRoles(tx: TransactionSql): Promise<boolean> {
  const [row] = await tx<{ may: boolean }[]>`
    select rolsuper or rolcreaterole as may from pg_roles where rolname = current_user`;
  return row?.may === true;
}

function mark(key: string): string {
  return `created by SPECTRA run ${key}`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/**
 * Drops the schema when `key` made it and no migration of another run is in it, and the roles that `key`
 * made unless another database uses them. Idempotent.
 */
export async function dropArchiveSchema(sql: Sql, key: string): Promise<void> {
  const [schema] = await sql<{ comment: string | null }[]>`
    select obj_description(oid, 'pg_namespace') as comment from pg_namespace where nspname = 'archive'`;
  if (schema?.comment === mark(key) && !(await holdsMigrations(sql))) {
    await sql`drop schema if exists archive cascade`;
  }
  for (const name of await rolesThatExist(sql)) {
    const [role] = await sql<{ comment: string | null }[]>`
      select shobj_description(oid, 'pg_authid') as comment from pg_roles where rolname = ${name}`;
    if (role?.comment === mark(key)) await dropRole(sql, name);
  }
}

async function holdsMigrations(sql: Sql): Promise<boolean> {
  const [table] = await sql<{ found: boolean }[]>`
    select to_regclass('archive.migrations') is not null as found`;
  if (table?.found !== true) return false;
  return (await sql`select 1 from archive.migrations limit 1`).length > 0;
}

async function dropRole(sql: Sql, name: string): Promise<void> {
  try {
    await sql.unsafe(`drop role if exists ${name}`);
  } catch (error) {
    const { code } = error as { code?: unknown };
    // 2BP01: another database has granted something to the role, which is why it must stay.
    if (code !== "2BP01" && code !== "XX000") throw error;
  }
}
