/**
 * What the package exports as `spectra-orchestrator/testing`: workflows in tests, in this process, with a clock
 * of their own; and replays of recorded runs.
 *
 * @module
 */

export {
  assertCompleted,
  assertJournal,
  assertNotInJournal,
  assertTask,
  type ExpectedEntry,
} from "./assert-journal.ts";
export type { Duration } from "./duration.ts";
export {
  type HistoryParts,
  type RecordedEntry,
  type RecordedHistory,
  recordedHistory,
} from "./recorded-history.ts";
export {
  assertReplays,
  type ReplayDifference,
  type ReplayOptions,
  type ReplayReport,
  replayHistory,
} from "./replay-history.ts";
export {
  type AgentStub,
  type Stub,
  type StubAction,
  stubAgent,
  type TestAgents,
  type TestContext,
} from "./test-agents.ts";
export type { TestServices } from "./test-context.ts";
export type { FaultOptions, KillOptions } from "./test-faults.ts";
export type { TestRun, TestTask } from "./test-run.ts";
export {
  createWorkflowTest,
  type TestCall,
  type WorkflowTest,
  type WorkflowTestOptions,
} from "./workflow-test.ts";
