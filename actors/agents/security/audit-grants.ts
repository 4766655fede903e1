/**
 * Compares roles and grants of the archive with what was designed: an owner, a writer, a reader, nobody else.
 *
 * @module
 */

import type { Sql } from "postgres";

/** Names of the roles that INFRASTRUCTURE made. */
export interface DesignedRoles {
  readonly owner: string;
  readonly writer: string;
  readonly reader: string;
}

interface RoleRow {
  readonly name: string;
  readonly superuser: boolean;
  readonly createsRoles: boolean;
  readonly createsDatabases: boolean;
  readonly bypassesRowSecurity: boolean;
}

interface GrantRow {
  readonly grantee: string;
  readonly privilege: string;
  readonly tables: number;
}

const READ_PRIVILEGES = new Set(["SELECT"]);
const WRITE_PRIVILEGES = new Set(["SELECT", "INSERT", "UPDATE", "DELETE"]);

/** One sentence for each departure from the design; empty when there is none. */
export async function auditGrants(sql: Sql, designed: DesignedRoles): Promise<string[]> {
  const { owner, writer, reader } = designed;
  const roles = await sql<RoleRow[]>`
    select rolname as name, rolsuper as superuser, rolcreaterole as "createsRoles",
      rolcreatedb as "createsDatabases", rolbypassrls as "bypassesRowSecurity"
    from pg_roles where rolname = any(${[owner, writer, reader]})`;
  const grants = await sql<GrantRow[]>`
    select coalesce(r.rolname, 'PUBLIC') as grantee, a.privilege_type as privilege,
      count(*)::int as tables
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    cross join lateral aclexplode(c.relacl) as a
    left join pg_roles r on r.oid = a.grantee
    where n.nspname = 'archive' and c.relkind in ('r', 'p') and a.grantee <> c.relowner
    group by 1, 2 order by 1, 2`;
  const schemaGrants = await sql<{ grantee: string; privilege: string }[]>`
    select coalesce(r.rolname, 'PUBLIC') as grantee, a.privilege_type as privilege
    from pg_namespace n cross join lateral aclexplode(n.nspacl) as a
    left join pg_roles r on r.oid = a.grantee
    where n.nspname = 'archive' and a.grantee <> n.nspowner order by 1, 2`;
  const departures: string[] = [];
  for (const name of [owner, writer, reader]) {
    const role = roles.find((one) => one.name === name);
    if (role === undefined) departures.push(`role "${name}" does not exist`);
    else departures.push(...powersOf(role));
  }
  const allowed = new Map([
    [reader, READ_PRIVILEGES],
    [writer, WRITE_PRIVILEGES],
  ]);
  for (const { grantee, privilege, tables } of grants) {
    if (grantee === owner || allowed.get(grantee)?.has(privilege) === true) continue;
    departures.push(`${grantee} has ${privilege} on ${tables} tables of the archive`);
  }
  for (const { grantee, privilege } of schemaGrants) {
    const fits = grantee === owner || (privilege === "USAGE" && allowed.has(grantee));
    if (!fits) departures.push(`${grantee} has ${privilege} on the schema archive`);
  }
  for (const [name, privileges] of allowed) {
    if (!grants.some((grant) => grant.grantee === name && privileges.has(grant.privilege))) {
      departures.push(`${name} has no grant on the archive's tables`);
    }
  }
  return departures;
}

function powersOf(role: RoleRow): string[] {
  const powers: [boolean, string][] = [
    [role.superuser, "is a superuser"],
    [role.createsRoles, "may create roles"],
    [role.createsDatabases, "may create databases"],
    [role.bypassesRowSecurity, "bypasses row security"],
  ];
  return powers.flatMap(([has, power]) => (has ? [`role "${role.name}" ${power}`] : []));
}
