/**
 * The table in `docs/supervision.md` that maps OTP's own cases to our tests: complete, and true.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** Every case of `supervisor_SUITE` of OTP 25, in the order of its `all()` and `groups()`. */
const otpCases = [
  "sup_start_normal",
  "sup_start_ignore_init",
  "sup_start_ignore_child",
  "sup_start_ignore_temporary_child",
  "sup_start_ignore_temporary_child_start_child",
  "sup_start_ignore_temporary_child_start_child_simple",
  "sup_start_ignore_permanent_child_start_child_simple",
  "sup_start_error_return",
  "sup_start_fail",
  "sup_start_child_returns_error",
  "sup_start_restart_child_returns_error",
  "sup_start_child_returns_error_simple",
  "sup_start_map",
  "sup_start_map_simple",
  "sup_start_map_faulty_specs",
  "sup_stop_infinity",
  "sup_stop_timeout",
  "sup_stop_timeout_dynamic",
  "sup_stop_brutal_kill",
  "sup_stop_brutal_kill_dynamic",
  "sup_stop_race",
  "sup_stop_non_shutdown_exit_dynamic",
  "child_adm",
  "child_adm_simple",
  "extra_return",
  "child_specs",
  "child_specs_map",
  "sup_flags",
  "multiple_restarts",
  "one_for_one",
  "one_for_one_escalation",
  "one_for_all",
  "one_for_all_escalation",
  "one_for_all_other_child_fails_restart",
  "simple_one_for_one",
  "simple_one_for_one_shutdown",
  "simple_one_for_one_extra",
  "simple_one_for_one_escalation",
  "simple_one_for_one_corruption",
  "rest_for_one",
  "rest_for_one_escalation",
  "rest_for_one_other_child_fails_restart",
  "permanent_normal",
  "transient_normal",
  "temporary_normal",
  "permanent_shutdown",
  "transient_shutdown",
  "temporary_shutdown",
  "faulty_application_shutdown",
  "permanent_abnormal",
  "transient_abnormal",
  "temporary_abnormal",
  "child_unlink",
  "tree",
  "nonsignificant_temporary",
  "nonsignificant_transient",
  "significant_temporary",
  "significant_transient",
  "significant_simple",
  "significant_bystander",
  "significant_escalation",
  "significant_upgrade_never_any",
  "significant_upgrade_any_never",
  "significant_upgrade_never_all",
  "significant_upgrade_all_never",
  "significant_upgrade_any_all",
  "significant_upgrade_all_any",
  "significant_upgrade_child",
  "count_children",
  "count_children_supervisor",
  "count_restarting_children",
  "get_callback_module",
  "do_not_save_start_parameters_for_temporary_children",
  "do_not_save_child_specs_for_temporary_children",
  "simple_one_for_one_scale_many_temporary_children",
  "temporary_bystander",
  "simple_global_supervisor",
  "hanging_restart_loop",
  "hanging_restart_loop_rest_for_one",
  "hanging_restart_loop_simple",
  "code_change",
  "code_change_map",
  "code_change_simple",
  "code_change_simple_map",
  "order_of_children",
  "scale_start_stop_many_children",
  "format_log_1",
  "format_log_2",
];

interface Row {
  readonly otpCase: string;
  readonly answer: string;
  readonly file: string;
}

function readTable(): readonly Row[] {
  const docs = readFileSync(new URL("../../../docs/supervision.md", import.meta.url), "utf8");
  const [, section = ""] = docs.split("## OTP's cases and our tests");
  return [...section.matchAll(/^\| (\w+) \| (.+) \| ([\w.-]*) ?\|$/gm)].map(
    ([, otpCase = "", answer = "", file = ""]) => ({ otpCase, answer, file }),
  );
}

function sourceOf(file: string): string {
  return readFileSync(new URL(file, import.meta.url), "utf8");
}

test("docs/supervision.md answers to every case of OTP's suite, and to no other", () => {
  expect(otpCases).toHaveLength(88);
  const answered = [...new Set(readTable().map(({ otpCase }) => otpCase))];
  expect(answered).toEqual(otpCases);
});

test("every test that docs/supervision.md names exists in its file", () => {
  const rows = readTable();
  const missing = rows
    .filter(({ file }) => file !== "")
    .filter(({ answer, file }) => !sourceOf(file).includes(`"${answer}"`));
  expect(missing).toEqual([]);
  // Cases without a test say why.
  const without = rows.filter(({ file }) => file === "");
  expect(without.map(({ otpCase }) => otpCase)).toEqual([
    "get_callback_module",
    "format_log_1",
    "format_log_2",
  ]);
  for (const { answer } of without) expect(answer).toMatch(/^does not apply/);
});
