/**
 * The hash cache in Redis: one hash of hashes and one string for the filter, under the archive's namespace.
 *
 * @module
 */

import { Redis } from "ioredis";
import { AgentError } from "../../machines/error-code.ts";
import { type HashCache, inCalls } from "./hash-cache.ts";

const connectTimeoutMs = 5_000;
const commandTimeoutMs = 10_000;
/** A command is tried again this often while the connection comes back. */
const retriesPerCommand = 3;
/** After the last write: a namespace that nobody uses any more must not stay for ever. */
const keptSeconds = 30 * 86_400;

/** Keeps the smaller id per hash, in one step on the server; answers with the smallest ids in order. */
const claimScript = `
local winners = {}
for at = 1, #ARGV, 2 do
  local known = redis.call("HGET", KEYS[1], ARGV[at])
  if not known or tonumber(ARGV[at + 1]) < tonumber(known) then
    redis.call("HSET", KEYS[1], ARGV[at], ARGV[at + 1])
    known = ARGV[at + 1]
  end
  winners[#winners + 1] = known
end
return winners`;

function unreachable(error: unknown): AgentError {
  const reason = error instanceof Error ? error.message : String(error);
  return new AgentError(
    "CACHE_UNREACHABLE",
    `Cannot use the hash cache in Redis: ${reason}; check REDIS_URL and the server`,
    { retryable: true, cause: error },
  );
}

/** Connects, or says why not. The caller ends it with `quit`. @throws {AgentError} `CACHE_UNREACHABLE` */
export async function connectRedis(url: string): Promise<Redis> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    maxRetriesPerRequest: retriesPerCommand,
    retryStrategy: (attempt) => (attempt > retriesPerCommand ? null : attempt * 200),
  });
  // The error reaches the callers through their commands; without a listener it would end the thread.
  redis.on("error", () => undefined);
  try {
    await redis.connect();
    return redis;
  } catch (error) {
    redis.disconnect();
    throw unreachable(error);
  }
}

export async function openRedisHashCache(url: string, namespace: string): Promise<HashCache> {
  const redis = await connectRedis(url);
  const keys = {
    hashes: `spectra:dedup:{${namespace}}:hashes`,
    filter: `spectra:dedup:{${namespace}}:filter`,
  };
  const translated = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw unreachable(error);
    }
  };
  return {
    kind: "redis",
    claim: (entries) =>
      translated(async () => {
        const winners = new Map<string, string>();
        for (const call of inCalls(entries)) {
          const pairs = call.flatMap(({ hash, id }) => [hash, id]);
          const ids: unknown = await redis.eval(claimScript, 1, keys.hashes, ...pairs);
          if (!Array.isArray(ids)) throw new TypeError(`the claim script answered ${typeof ids}`);
          for (const [at, { hash }] of call.entries()) winners.set(hash, String(ids[at]));
        }
        await redis.expire(keys.hashes, keptSeconds);
        return winners;
      }),
    lookUp: (hashes) =>
      translated(async () => {
        const found = new Map<string, string>();
        for (const call of inCalls([...new Set(hashes)])) {
          const ids = await redis.hmget(keys.hashes, ...call);
          for (const [at, hash] of call.entries()) {
            const id = ids[at];
            if (typeof id === "string") found.set(hash, id);
          }
        }
        return found;
      }),
    count: () => translated(() => redis.hlen(keys.hashes)),
    saveFilter: (bytes) =>
      translated(async () => {
        await redis.set(keys.filter, Buffer.from(bytes), "EX", keptSeconds);
      }),
    loadFilter: () => translated(async () => (await redis.getBuffer(keys.filter)) ?? undefined),
    clear: () =>
      translated(async () => {
        await redis.unlink(keys.hashes, keys.filter);
      }),
    close: async () => {
      redis.disconnect();
    },
  };
}
