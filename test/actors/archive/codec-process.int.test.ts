/**
 * Codecs that are programs: real ones where installed, reported where not.
 *
 * @module
 */

import { describe, expect, it } from "vitest";
import { openCodec } from "../../../actors/archive/codec.ts";
import { tryCodecs } from "../../../actors/archive/codec-trial.ts";
import { readMails } from "../../support/mail-archive.ts";

describe("tryCodecs() with programs", () => {
  it("measures each program or reports it as unavailable, never neither", async () => {
    const sample = readMails(6).map((mail) => mail.body);
    const { trials, unavailable } = await tryCodecs({
      codecs: ["xz:6", "kanzi:5"],
      sample,
      dictionary: undefined,
      monotonicMs: () => performance.now(),
      beforeEach: () => undefined,
    });
    const reported = [...trials, ...unavailable].map(({ codec }) => codec).sort();
    expect(reported).toEqual(["kanzi:5", "xz:6"]);
    for (const trial of trials) {
      expect(trial).toMatchObject({ external: true, bodies: 6 });
      expect(trial.storedBytes).toBeLessThan(trial.rawBytes);
    }
    for (const { reason } of unavailable) expect(reason).toMatch(/^Cannot use the codec/);
  });

  it("says that a program is not on the PATH", async () => {
    const path = process.env["PATH"];
    process.env["PATH"] = "/nonexistent";
    try {
      await expect(openCodec("xz:6")).rejects.toMatchObject({ code: "CODEC_UNAVAILABLE" });
    } finally {
      process.env["PATH"] = path;
    }
  });
});
