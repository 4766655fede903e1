/**
 * The migrating process of the bench: prints what it did and how much memory it took.
 *
 * @module
 */

import postgres from "postgres";
import { migrateUrl } from "../support/migrated-archive.ts";

const [databaseUrl = "", archiveUrl = ""] = process.argv.slice(2);
const sql = postgres(databaseUrl, { max: 4, onnotice: () => undefined });
const startMs = performance.now();
const { migrated } = await migrateUrl(sql, archiveUrl);
const durationMs = performance.now() - startMs;
await sql.end();
const peakRssMb = process.resourceUsage().maxRSS / 1_024;
console.log(JSON.stringify({ migrated, durationMs, peakRssMb }));
