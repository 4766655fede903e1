/**
 * The embedded server where its surroundings are against it: missing links, missing packages.
 *
 * @module
 */

import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { bundle } from "../support/child.ts";
import {
  installWithoutLinks,
  openPlacement,
  PROGRAM,
  packageName,
} from "../support/postgres-placement.ts";

const place = openPlacement();

it("makes the library links that npm left out, also when two start at once", async () => {
  const script = await installWithoutLinks(place.work);
  await mkdir(join(place.work, "one"), { mode: 0o711 });
  await mkdir(join(place.work, "two"), { mode: 0o711 });
  const outcomes = await Promise.all(
    ["one", "two"].map((name) => place.run(script, join(place.work, name))),
  );
  expect(outcomes.map(({ type }) => type)).toEqual(["ready", "ready"]);
  expect(await readdir(join(place.work, "one"))).not.toContain("postgres-binaries");
});

it("names the missing package and the way out", async () => {
  const script = await bundle(PROGRAM, join(place.work, "bare"));
  const outcome = await place.run(script, join(place.work, "data"));
  expect(outcome).toMatchObject({ type: "failed", code: "POSTGRES_PACKAGE_MISSING" });
  expect(outcome["message"]).toContain(packageName);
  expect(outcome["message"]).toContain("DATABASE_URL");
});
