/**
 * The embedded server where its surroundings are against it: a disk without room.
 *
 * @module
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { bundle } from "../support/child.ts";
import { openPlacement, PROGRAM } from "../support/postgres-placement.ts";
import { noServerOn } from "../support/postgres-processes.ts";
import { openSmallDisk } from "../support/small-disk.ts";

const place = openPlacement();

it("says that the disk is full, leaves nothing half done, and starts once there is room", async () => {
  await using disk = await openSmallDisk(join(place.work, "disk"), 20);
  const dataDir = join(disk.path, "data");
  const script = await bundle(PROGRAM);
  const full = await place.run(script, dataDir);
  expect(full).toMatchObject({ type: "failed", code: "DISK_FULL" });
  expect(full["message"]).toContain(dataDir);
  const left = await readdir(dataDir);
  expect(left.filter((name) => name.startsWith("postgres.new") || name === "postgres")).toEqual([]);
  disk.resize(300);
  expect(await place.run(script, dataDir)).toMatchObject({ type: "ready", created: true });
  await noServerOn(disk.path);
});
