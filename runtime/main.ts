#!/usr/bin/env node
/**
 * Starts the command line and ends the process with its exit code.
 *
 * @module
 */

import { runCommandLine } from "./cli/command-line.ts";

/** What still holds the process this long after the end of its command was forgotten by its owner. */
const LINGER_MS = 1_000;

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // Whoever read the output has had enough: `spectra list | head`.
  if (error.code !== "EPIPE") throw error;
  process.exit();
});
process.exitCode = await runCommandLine(process.argv.slice(2));
setTimeout(() => process.exit(), LINGER_MS).unref();
