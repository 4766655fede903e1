/**
 * INFRASTRUCTURE.setup_postgresql_cluster: makes the target server ready for the archive, and says what it is like.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import {
  archiveRoles,
  createArchiveSchema,
  dropArchiveSchema,
} from "../../archive/archive-roles.ts";
import { databaseError } from "../../archive/database-error.ts";
import {
  freeDiskBytes,
  oldestVersion,
  readReplicas,
  readServerFacts,
  type ServerFacts,
} from "../../archive/server-facts.ts";
import { capability } from "../../define-agent.ts";

/** Connections that a node uses at most, so that fewer free ones are worth a warning. */
const neededConnections = 15;

export const setupPostgresqlCluster = capability({
  description:
    "creates schema, roles and grants on the target; checks version, durability, disk, connections and replicas",
  input: z.object({
    /** Size of the archive: `plan.budgets.diskBytes` of the strategy. */
    diskBytes: z.number().nonnegative().default(0),
    /** `application_name` of each standby that must follow this server. */
    replicas: z.array(z.string()).max(64).default([]),
  }),
  output: z.object({
    version: z.string(),
    roles: z.object({ owner: z.string(), writer: z.string(), reader: z.string() }),
    schemaCreated: z.boolean(),
    rolesCreated: z.array(z.string()).readonly(),
    rolesDenied: z.array(z.string()).readonly(),
    settings: z.record(z.string(), z.string()).readonly(),
    extensions: z
      .array(z.object({ name: z.string(), available: z.boolean(), installed: z.boolean() }))
      .readonly(),
    connections: z.object({ max: z.number(), used: z.number(), free: z.number() }),
    /** Null where the server is another machine's, whose disk cannot be seen from here. */
    disk: z.object({ freeBytes: z.number(), neededBytes: z.number() }).nullable(),
    replicas: z
      .array(
        z.object({
          name: z.string(),
          state: z.string(),
          lagBytes: z.number().nullable(),
          lagMs: z.number().nullable(),
        }),
      )
      .readonly(),
    warnings: z.array(z.string()),
  }),
  async run(ctx, input) {
    const facts = await readServerFacts(ctx.sql).catch((error: unknown) => {
      throw databaseError("read the state of the database server", error);
    });
    if (facts.versionNumber < oldestVersion) {
      throw new AgentError(
        "DATABASE_TOO_OLD",
        `Cannot use PostgreSQL ${facts.version}: version 15 or newer is needed`,
      );
    }
    const disk = ctx.host.embeddedDatabase
      ? { freeBytes: await freeDiskBytes(ctx.host.dataDir), neededBytes: input.diskBytes }
      : null;
    if (disk !== null && disk.freeBytes < disk.neededBytes) {
      throw new AgentError(
        "DISK_TOO_SMALL",
        `Cannot migrate the archive: it needs ${disk.neededBytes} bytes and "${ctx.host.dataDir}" has ${disk.freeBytes} free`,
      );
    }
    const report = await createArchiveSchema(ctx.sql, ctx.idempotencyKey);
    const replicas = await readReplicas(ctx.sql, input.replicas);
    return {
      version: facts.version,
      roles: archiveRoles,
      schemaCreated: report.schemaCreated,
      rolesCreated: report.created,
      rolesDenied: report.denied,
      settings: facts.settings,
      extensions: facts.extensions,
      connections: facts.connections,
      disk,
      replicas,
      warnings: [
        ...warningsFor(facts),
        ...report.denied.map((name) => `the database user may not create the role ${name}`),
        ...replicas
          .filter(({ state }) => state !== "streaming")
          .map(({ name, state }) => `replica ${name} is ${state}`),
      ],
    };
  },
  async compensate(ctx) {
    await dropArchiveSchema(ctx.sql, ctx.idempotencyKey);
  },
});

function warningsFor({ settings, connections }: ServerFacts): string[] {
  const warnings: string[] = [];
  for (const name of ["fsync", "full_page_writes", "synchronous_commit"]) {
    if (settings[name] === "off") {
      warnings.push(`${name} is off: a crash of the server can lose or damage data`);
    }
  }
  if (settings["wal_level"] === "minimal") {
    warnings.push("wal_level is minimal: neither replicas nor WAL archiving are possible");
  }
  if (settings["server_encoding"] !== "UTF8") {
    warnings.push(`the database's encoding is ${settings["server_encoding"]}, names may not fit`);
  }
  if (connections.free < neededConnections) {
    warnings.push(
      `${connections.free} of ${connections.max} connections are free, ${neededConnections} may be needed`,
    );
  }
  return warnings;
}
