/**
 * What one may do with a task: its buttons, the question before what cannot be taken back, and what
 * the server said to it.
 *
 * @module
 */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Json } from "../../../machines/error-code.ts";
import type { TaskStatus, WorkflowView } from "../../../runtime/system.ts";
import { requestOf, type TaskControl, taskControls } from "../controls.ts";
import { stateOf } from "../run-state-store.ts";
import { order, pending, refusal, showUnexpected, subjectOf } from "../store.ts";

interface ActedOn {
  readonly key: string;
  readonly title: string;
  readonly status: TaskStatus;
}

interface Wording {
  readonly label: string;
  /** What happens, asked before it does; absent where nothing is lost by it. */
  readonly question?: string;
}

const WORDS: Readonly<Record<TaskControl, Wording>> = {
  retry: { label: "Retry this task" },
  "run-now": { label: "Run now" },
  repeat: {
    label: "Run again…",
    question:
      "A new attempt is made. If the one before took effect after all, its effect happens twice.",
  },
  succeeded: {
    label: "Succeeded…",
    question: "It counts as done, with the output given here; what comes after it goes on.",
  },
  failed: {
    label: "Failed…",
    question: "It counts as failed without effect, and the run does what its definition says then.",
  },
  skip: {
    label: "Skip…",
    question: "It is left out; what comes after it goes on without its output.",
  },
};

/** While the run is rolled back, the same decisions are about undoing. */
const UNDO_WORDS: Readonly<Partial<Record<TaskControl, Wording>>> = {
  repeat: { label: "Undo again…", question: "Its compensation is tried once more." },
  succeeded: { label: "Undone…", question: "It counts as undone; the rollback goes on." },
  failed: { label: "Not undone…", question: "It stays as it is; the rollback goes on without it." },
};

const MAX_REASON = 1_000;

export function TaskActions(props: { workflow: WorkflowView; task: ActedOn }): JSX.Element | null {
  const { workflow, task } = props;
  const [asks, ask] = useState<TaskControl | undefined>(undefined);
  const state = stateOf(workflow.id);
  const isUndoing = state !== null && state.rollback !== null;
  const controls = taskControls(workflow, task.status, isUndoing);
  const approval = state?.approvals.find((one) => one.task === task.key && !one.decided);
  const wordsOf = (control: TaskControl): Wording =>
    (isUndoing ? UNDO_WORDS[control] : undefined) ?? WORDS[control];
  const subject = subjectOf(workflow.id, task.key);
  const send = async (control: TaskControl, reason: string, output?: Json): Promise<void> => {
    const { path, body } = requestOf(control, task.key, output);
    const isTaken = await order(workflow.id, path, { ...body, reason }, subject);
    if (isTaken) ask(undefined);
  };
  if (controls.length === 0 && approval === undefined) return null;
  return (
    <div class="actions">
      {approval !== undefined && (
        <a class="button primary" href={approval.path} target="_blank" rel="noopener">
          Approve or reject…
        </a>
      )}
      {controls.map((control) => (
        <button
          key={control}
          type="button"
          class={control === "skip" ? "quiet" : ""}
          disabled={pending.value !== null}
          onClick={() => {
            refusal.value = null;
            if (wordsOf(control).question !== undefined) ask(control);
            else send(control, "").catch(showUnexpected);
          }}
        >
          {wordsOf(control).label}
        </button>
      ))}
      {asks === undefined ? (
        <Refusal subject={subject} />
      ) : (
        <Question
          key={asks}
          title={`${wordsOf(asks).label.replace("…", "")}: ${task.title}`}
          text={wordsOf(asks).question ?? ""}
          takesOutput={asks === "succeeded" && !isUndoing}
          subject={subject}
          close={() => ask(undefined)}
          send={(reason, output) => send(asks, reason, output)}
        />
      )}
    </div>
  );
}

/** What the server said to the last thing that was asked about a run or task. */
export function Refusal(props: { subject: string }): JSX.Element | null {
  if (refusal.value?.subject !== props.subject) return null;
  return (
    <p class="error" role="alert">
      {refusal.value.text}
    </p>
  );
}

interface QuestionProps {
  readonly title: string;
  readonly text: string;
  readonly takesOutput: boolean;
  readonly subject: string;
  readonly close: () => void;
  readonly send: (reason: string, output?: Json) => Promise<void>;
}

/** Undefined when nothing was typed. @throws {SyntaxError} */
function outputOf(text: string): Json | undefined {
  return text.trim() === "" ? undefined : (JSON.parse(text) as Json);
}

function Question(props: QuestionProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState<string | undefined>(undefined);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const submit = (): void => {
    try {
      const output = outputOf(typed);
      setProblem(undefined);
      props.send(reason.trim(), output).catch(showUnexpected);
    } catch (error) {
      setProblem(`Is not JSON: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  return (
    <dialog
      ref={dialog}
      class="start"
      aria-labelledby="question-title"
      onClose={props.close}
      // Escape closes the dialog, not the panel around it.
      onKeyDown={(event) => event.stopPropagation()}
    >
      <h2 id="question-title">{props.title}</h2>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <p>{props.text}</p>
        {props.takesOutput && (
          <label class="field">
            <span>
              Output as JSON <small class="soft">may be left out</small>
            </span>
            <textarea
              rows={3}
              spellcheck={false}
              value={typed}
              aria-invalid={problem !== undefined}
              onInput={({ currentTarget }) => setTyped(currentTarget.value)}
            />
            {problem !== undefined && <small class="problem">{problem}</small>}
          </label>
        )}
        <label class="field">
          <span>
            Reason <small class="soft">goes into the journal; may be left out</small>
          </span>
          <input
            type="text"
            autocomplete="off"
            maxLength={MAX_REASON}
            value={reason}
            onInput={({ currentTarget }) => setReason(currentTarget.value)}
          />
        </label>
        <Refusal subject={props.subject} />
        <div class="form-end">
          <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
            Not now
          </button>
          <button type="submit" class="primary" disabled={pending.value !== null}>
            {pending.value === props.subject ? "One moment…" : "Do it"}
          </button>
        </div>
      </form>
    </dialog>
  );
}
