/**
 * Starts a workflow: Phase 1 by one press where nothing else is defined, else the one that is chosen, with its input.
 *
 * @module
 */

import type { JSX, RefObject } from "preact";
import { useRef, useState } from "preact/hooks";
import type { KnownWorkflow } from "../../../runtime/system.ts";
import type { ApiError } from "../api.ts";
import { fieldsOf, type InputField, inputOf } from "../input-form.ts";
import {
  hasOwnWorkflows,
  knownWorkflows,
  readKnownWorkflows,
  startWorkflow,
} from "../start-store.ts";
import { model, notice, pending, run, showUnexpected } from "../store.ts";

const PHASE = "phase1";

export function StartButton(props: { isFirst: boolean }): JSX.Element | null {
  const dialog = useRef<HTMLDialogElement>(null);
  if (model.value.status === null || knownWorkflows.value.length === 0) return null;
  const isBusy = [...model.value.workflows.values()].some(({ status }) =>
    ["pending", "running", "paused"].includes(status),
  );
  const open = (): void => {
    readKnownWorkflows().catch(showUnexpected);
    dialog.current?.showModal();
  };
  const tone = props.isFirst ? "primary" : "";
  const isStarting = pending.value !== null;
  return (
    <>
      {hasOwnWorkflows.value ? (
        <button type="button" class={tone} disabled={isStarting} onClick={open}>
          Start a workflow…
        </button>
      ) : (
        <>
          {!isBusy && (
            <button type="button" class={tone} disabled={isStarting} onClick={startPhase}>
              {pending.value === "start" ? "Starting…" : "Start Phase 1"}
            </button>
          )}
          <button type="button" class="quiet" disabled={isStarting} onClick={open}>
            Other workflows…
          </button>
        </>
      )}
      <StartDialog dialog={dialog} />
    </>
  );
}

function startPhase(): void {
  startWorkflow(PHASE, {}).then((refusal) => {
    if (refusal !== undefined) notice.value = { tone: "bad", text: refusal.message };
  }, showUnexpected);
}

function StartDialog(props: { dialog: RefObject<HTMLDialogElement | null> }): JSX.Element {
  const known = knownWorkflows.value;
  const [chosen, choose] = useState<string | undefined>(undefined);
  const shown = run.value?.workflow.workflow;
  const workflow =
    known.find(({ id }) => id === chosen) ??
    known.find(({ id, origin }) => id === shown && origin === "folder") ??
    known[0];
  return (
    <dialog ref={props.dialog} class="start" aria-labelledby="start-title">
      <h2 id="start-title">Start a workflow</h2>
      <label class="field">
        <span>Workflow</span>
        <select
          value={workflow?.id ?? ""}
          onChange={({ currentTarget }) => choose(currentTarget.value)}
        >
          {known.map(({ id, title }) => (
            <option key={id} value={id}>
              {title === id ? id : `${title} (${id})`}
            </option>
          ))}
        </select>
      </label>
      {workflow !== undefined && (
        <InputForm
          key={workflow.id}
          workflow={workflow}
          close={() => props.dialog.current?.close()}
        />
      )}
    </dialog>
  );
}

function countText({ tasks, stages, origin }: KnownWorkflow): string {
  const what = `${tasks} ${tasks === 1 ? "task" : "tasks"} in ${stages} ${stages === 1 ? "stage" : "stages"}`;
  return origin === "folder" ? `${what}, from your folder.` : `${what}, comes with SPECTRA.`;
}

function InputForm(props: { workflow: KnownWorkflow; close: () => void }): JSX.Element {
  const { workflow, close } = props;
  const fields = fieldsOf(workflow.inputSchema);
  const [typed, setTyped] = useState<Readonly<Record<string, string>>>({});
  const [problems, setProblems] = useState<Readonly<Record<string, string>>>({});
  const [refusal, setRefusal] = useState<string | undefined>(undefined);
  const submit = async (): Promise<void> => {
    const read = inputOf(fields, typed);
    setRefusal(undefined);
    setProblems(read.problems);
    if (Object.keys(read.problems).length > 0) return;
    const refused = await startWorkflow(workflow.id, read.input);
    if (refused === undefined) return close();
    setRefusal(refused.summary);
    setProblems(problemsOf(refused));
  };
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        submit().catch(showUnexpected);
      }}
    >
      <p>
        {countText(workflow)} {fields.length === 0 && "It takes no input."}
      </p>
      {fields.map((field) => (
        <Field
          key={field.name}
          field={field}
          value={typed[field.name] ?? ""}
          problem={problems[field.name]}
          change={(text) => setTyped({ ...typed, [field.name]: text })}
        />
      ))}
      {refusal !== undefined && (
        <p class="error" role="alert">
          {refusal}
          {/* What is wrong outside of the input stands at no field. */}
          {problems[""] !== undefined && `. ${problems[""]}`}
        </p>
      )}
      <div class="form-end">
        <button type="button" class="quiet" onClick={close}>
          Not now
        </button>
        <button type="submit" class="primary" disabled={pending.value !== null}>
          {pending.value === "start" ? "Starting…" : "Start"}
        </button>
      </div>
    </form>
  );
}

/** By input; what belongs to none is under the empty name. */
function problemsOf({ fields }: ApiError): Record<string, string> {
  const problems: Record<string, string> = {};
  for (const { pointer, detail } of fields) {
    const [, part, name = "", ...rest] = pointer.split("/");
    const at = part === "input" ? name : "";
    const text = part === "input" && rest.length === 0 ? detail : `${pointer}: ${detail}`;
    problems[at] = problems[at] === undefined ? text : `${problems[at]}. ${text}`;
  }
  return problems;
}

interface FieldProps {
  readonly field: InputField;
  readonly value: string;
  readonly problem: string | undefined;
  readonly change: (text: string) => void;
}

function Field({ field, value, problem, change }: FieldProps): JSX.Element {
  const id = `input-${field.name}`;
  return (
    <div class="field">
      <label for={id}>
        {field.name}
        {!field.isRequired && <small class="soft"> may be left out</small>}
      </label>
      <Control field={field} value={value} problem={problem} change={change} />
      <small id={`${id}-hint`} class={problem === undefined ? "soft" : "problem"}>
        {problem ?? field.hint}
      </small>
    </div>
  );
}

function Control({ field, value, problem, change }: FieldProps): JSX.Element {
  const shared = {
    id: `input-${field.name}`,
    "aria-describedby": `input-${field.name}-hint`,
    "aria-invalid": problem !== undefined,
  };
  switch (field.kind) {
    case "choice":
      return (
        <select {...shared} value={value} onChange={({ currentTarget: at }) => change(at.value)}>
          <option value="">choose one</option>
          {field.choices.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      );
    case "boolean":
      return (
        <input
          {...shared}
          type="checkbox"
          checked={value === "true"}
          onChange={({ currentTarget: at }) => change(String(at.checked))}
        />
      );
    case "json":
      return (
        <textarea
          {...shared}
          rows={3}
          value={value}
          spellcheck={false}
          onInput={({ currentTarget: at }) => change(at.value)}
        />
      );
    case "text":
    case "number":
    case "free":
      return (
        <input
          {...shared}
          type="text"
          inputMode={field.kind === "number" ? "decimal" : "text"}
          autocomplete="off"
          value={value}
          onInput={({ currentTarget: at }) => change(at.value)}
        />
      );
  }
}
