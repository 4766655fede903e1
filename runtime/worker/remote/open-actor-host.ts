/**
 * Durable actors without a node around them: for programs of one's own, and for trying them out.
 *
 * The package's modules are loaded in every agent's thread, so what this needs is imported on demand.
 *
 * @module
 */

import type { OpenActorHost, OpenActorHostOptions } from "./local-actor-host.ts";

export type { OpenActorHost, OpenActorHostOptions };

export async function openActorHost(options: OpenActorHostOptions = {}): Promise<OpenActorHost> {
  const { openLocalHost } = await import("./local-actor-host.ts");
  return openLocalHost(options);
}
