/**
 * Reads from a Redis server what matters to a cache: version, persistence, memory policy.
 *
 * @module
 */

import { AgentError } from "../../machines/error-code.ts";
import { connectRedis } from "./hash-cache-redis.ts";

export interface RedisFacts {
  readonly version: string;
  readonly mode: string;
  readonly role: string;
  readonly appendOnly: boolean;
  readonly snapshotOk: boolean;
  readonly maxMemoryBytes: number;
  readonly usedMemoryBytes: number;
  readonly evictionPolicy: string;
  /** One sentence each; none of them stops the cache from working. */
  readonly warnings: readonly string[];
}

/** HMGET on large hashes and UNLINK are older; 6.2 is the oldest version that Redis still documents. */
const oldestVersion = [6, 2] as const;

/** `name:value` lines of INFO. */
export function parseRedisInfo(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon > 0 && !line.startsWith("#")) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

function warningsOf(facts: Omit<RedisFacts, "warnings">): readonly string[] {
  return [
    ...(facts.appendOnly
      ? []
      : [
          "appendonly is off: after a crash the cache is as old as the last snapshot and is filled again",
        ]),
    ...(facts.snapshotOk
      ? []
      : ["the last background save failed: look at the server's log and disk"]),
    ...(facts.maxMemoryBytes > 0 && facts.evictionPolicy.startsWith("allkeys")
      ? [
          `${facts.evictionPolicy} may evict the cache when memory is short; it is then filled again`,
        ]
      : []),
    ...(facts.role === "master" ? [] : [`the server is a ${facts.role}: writes may be refused`]),
  ];
}

/** @throws {AgentError} `CACHE_UNREACHABLE`, `REDIS_TOO_OLD` */
export async function readRedisFacts(url: string): Promise<RedisFacts> {
  const redis = await connectRedis(url);
  try {
    const info = parseRedisInfo(await redis.info());
    const version = info.get("redis_version") ?? "unknown";
    const [major = 0, minor = 0] = version.split(".").map(Number);
    const [oldestMajor, oldestMinor] = oldestVersion;
    if (!(major > oldestMajor || (major === oldestMajor && minor >= oldestMinor))) {
      throw new AgentError(
        "REDIS_TOO_OLD",
        `Cannot use Redis ${version}: ${oldestVersion.join(".")} or newer is needed; upgrade the server or unset REDIS_URL`,
      );
    }
    const facts = {
      version,
      mode: info.get("redis_mode") ?? "unknown",
      role: info.get("role") ?? "unknown",
      appendOnly: info.get("aof_enabled") === "1",
      snapshotOk: info.get("rdb_last_bgsave_status") === "ok",
      maxMemoryBytes: Number(info.get("maxmemory") ?? 0),
      usedMemoryBytes: Number(info.get("used_memory") ?? 0),
      evictionPolicy: info.get("maxmemory_policy") ?? "unknown",
    };
    return { ...facts, warnings: warningsOf(facts) };
  } finally {
    redis.disconnect();
  }
}
