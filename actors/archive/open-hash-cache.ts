/**
 * Chooses where the hash cache lives.
 *
 * @module
 */

import type { Sql } from "postgres";
import type { HashCache } from "./hash-cache.ts";
import { openPostgresHashCache } from "./hash-cache-postgres.ts";
import { openRedisHashCache } from "./hash-cache-redis.ts";

/** Redis when a URL is given, else tables in the schema. @throws {AgentError} `CACHE_UNREACHABLE` */
export async function openHashCache(
  sql: Sql,
  options: {
    readonly redisUrl: string | undefined;
    readonly schema: string;
    readonly namespace: string;
  },
): Promise<HashCache> {
  return options.redisUrl === undefined
    ? openPostgresHashCache(sql, options.schema, options.namespace)
    : await openRedisHashCache(options.redisUrl, options.namespace);
}
