/**
 * Tries to log in to the server with passwords that nobody should have.
 *
 * @module
 */

import postgres, { type Sql } from "postgres";

/** Besides these, the role's own name is tried. */
const TRIVIAL_PASSWORDS = ["", "postgres", "password", "spectra", "admin", "123456", "changeme"];
/** Roles that are tried at most. */
const MAX_ROLES = 20;

export interface LoginProbe {
  readonly roles: number;
  readonly attempts: number;
  /** Roles that a trivial password opened. */
  readonly opened: readonly string[];
  /** Roles that got in without being asked for a password at all. */
  readonly unasked: readonly string[];
}

/**
 * One login after the other, at most one connection at a time.
 * @throws When the server cannot be reached at all.
 */
export async function probeLogins(sql: Sql, signal: AbortSignal): Promise<LoginProbe> {
  const roles = await sql<{ name: string }[]>`
    select rolname as name from pg_roles where rolcanlogin order by rolname limit ${MAX_ROLES}`;
  const opened: string[] = [];
  const unasked: string[] = [];
  let attempts = 0;
  for (const { name } of roles) {
    // A password that cannot be the right one gets in only where none is asked for.
    const passwords = [`no-${crypto.randomUUID()}`, ...new Set([...TRIVIAL_PASSWORDS, name])];
    for (const [index, password] of passwords.entries()) {
      signal.throwIfAborted();
      attempts += 1;
      if (!(await canLogIn(sql, name, password))) continue;
      (index === 0 ? unasked : opened).push(name);
      break;
    }
  }
  return { roles: roles.length, attempts, opened, unasked };
}

/** Class 28 of SQLSTATE: the server refused who we said we are. */
const INVALID_AUTHORIZATION = /^28/;

async function canLogIn(sql: Sql, user: string, password: string): Promise<boolean> {
  const { path, database, ssl } = sql.options;
  const [host] = sql.options.host;
  const [port] = sql.options.port;
  const tcp = { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) };
  const client = postgres({
    user,
    database,
    // As a function: postgres.js would replace an empty password by the one of the environment.
    password: () => password,
    max: 1,
    connect_timeout: 5,
    ...(typeof path === "string" ? { path } : tcp),
    ...(ssl === undefined || ssl === null ? {} : { ssl }),
    connection: { application_name: "spectra login probe" },
  });
  try {
    await client`select 1`;
    return true;
  } catch (error) {
    const code = String((error as { code?: unknown }).code);
    // postgres.js raises this itself when scram is asked and there is an empty password.
    if (
      INVALID_AUTHORIZATION.test(code) ||
      code === "42501" ||
      code === "SASL_SIGNATURE_MISMATCH"
    ) {
      return false;
    }
    throw error;
  } finally {
    await client.end({ timeout: 1 });
  }
}
