/**
 * What a restricted worker can ask its maker for, by name.
 *
 * @module
 */

import type { CapabilityService } from "./broker-host.ts";
import { runService } from "./broker-run.ts";

export const brokerServices: Readonly<Record<string, CapabilityService>> = { run: runService };
