/**
 * The archive that Phase 1 runs on when nobody names one.
 *
 * @module
 */

import { join } from "node:path";
import { buildSampleArchive } from "../actors/archive/sample.ts";

/**
 * Builds the sample below the data folder unless it is there. Returns its `sqlite:` URL.
 * @throws {AgentError} `SAMPLE_MISSING` when the package with the mails is not installed.
 */
export function ensureSampleArchive(dataDir: string): Promise<string> {
  return buildSampleArchive(join(dataDir, "sample"));
}
