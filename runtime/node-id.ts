/**
 * The name of a node, which stays with its data folder: whoever holds the folder's lock is this node.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Reads the name, or makes one in a folder that has none. @throws If the file is there and cannot be read. */
export async function readNodeId(dataDir: string): Promise<string> {
  const file = join(dataDir, "node-id");
  const known = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  if (known.trim() !== "") return known.trim();
  const id = `node-${randomUUID().slice(0, 8)}`;
  // A crash in between leaves a draft, never half a name.
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `${id}\n`);
  await rename(draft, file);
  return id;
}
