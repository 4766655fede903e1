/**
 * Creates SPECTRA's coordination tables in a test database, from the same Drizzle tables as the migrations.
 *
 * @module
 */

import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import type { Sql } from "postgres";
import * as coordination from "../../db/schema/coordination.ts";
import { spectraSchema } from "../../db/schema/schema.ts";

export async function createCoordinationTables(sql: Sql): Promise<void> {
  const statements = await generateMigration(
    generateDrizzleJson({}),
    generateDrizzleJson({ spectraSchema, ...coordination }),
  );
  for (const statement of statements) await sql.unsafe(statement);
}
