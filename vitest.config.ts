import { defineConfig } from "vitest/config";

/** Suites that need servers, threads, a browser or time; all others are unit tests. */
const integration = ["test/**/*.int.test.ts", "test/**/*.chaos.test.ts"];

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["test/**/*.test.ts"], exclude: integration },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: integration,
          globalSetup: "test/support/global-setup.ts",
        },
      },
    ],
  },
});
