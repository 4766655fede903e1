-- One turn in one round trip and one commit (`db/turn-repo.ts` says what each part is). Versioned by
-- name: a node of an earlier release keeps calling the one that it knows.
create function spectra.commit_turn_1(p_node text, p_batch jsonb) returns jsonb
language plpgsql as $$
#variable_conflict use_column
declare
  kept text[];
  sent jsonb;
begin
  with fenced as (
    update spectra.workflows w set status = x.status, place = x.place, seq = x.seq, error = x.error,
      priority = x.priority, output = x.output, extras = x.extras,
      started_at = to_timestamp(x.started / 1000), finished_at = to_timestamp(x.finished / 1000)
    from jsonb_to_recordset(p_batch->'runs') as x(id text, epoch bigint, status text, place text,
      seq bigint, error jsonb, priority int, output jsonb, extras jsonb, started float8, finished float8)
    where w.id = x.id and w.epoch = x.epoch and w.owner = p_node returning w.id)
  select coalesce(array_agg(id), '{}') into kept from fenced;
  if cardinality(kept) <> jsonb_array_length(p_batch->'runs') then
    raise exception 'another node owns a run of the turn' using errcode = 'SP001', detail = (
      select jsonb_agg(x.id) from jsonb_to_recordset(p_batch->'runs') as x(id text)
      where x.id <> all(kept));
  end if;
  if p_batch ? 'added' then
    -- An instance stands where its definition's task stands.
    insert into spectra.tasks (workflow_id, key, position, plan, agent, action, status, attempt,
      failures, deaths, node, error, extras, output, scheduled_at, ready_at, started_at, finished_at)
    select x.w, x.k, coalesce(t.position, 0), x.plan, x.agent, x.action, x.status, x.attempt,
      x.failures, x.deaths, x.node, x.error, x.extras, x.output, to_timestamp(x.scheduled / 1000),
      to_timestamp(x.ready / 1000), to_timestamp(x.started / 1000), to_timestamp(x.finished / 1000)
    from jsonb_to_recordset(p_batch->'added') as x(w text, k text, plan text, agent text,
      action text, status text, attempt int, failures int, deaths int, node text, error jsonb,
      extras jsonb, scheduled float8, output jsonb, ready float8, started float8, finished float8)
    left join spectra.tasks t on t.workflow_id = x.w and t.key = x.plan;
  end if;
  if p_batch ? 'changed' then
    -- Whoever has taken an attempt keeps it: the run's state does not know of that before it began.
    update spectra.tasks t set status = x.status, attempt = x.attempt, failures = x.failures,
      deaths = x.deaths, error = x.error, extras = x.extras,
      node = coalesce(x.node, case when t.attempt = x.attempt
        and x.status in ('dispatched', 'compensating') and t.status = x.status then t.node end),
      scheduled_at = to_timestamp(x.scheduled / 1000), output = coalesce(x.output, t.output),
      ready_at = to_timestamp(x.ready / 1000), started_at = to_timestamp(x.started / 1000),
      finished_at = to_timestamp(x.finished / 1000)
    from jsonb_to_recordset(p_batch->'changed') as x(w text, k text, status text,
      attempt int, failures int, deaths int, node text, error jsonb, extras jsonb,
      scheduled float8, output jsonb, ready float8, started float8, finished float8)
    where t.workflow_id = x.w and t.key = x.k;
  end if;
  if p_batch ? 'journal' then
    insert into spectra.journal (workflow_id, seq, type, at, actor, payload, patch)
    select w, seq, type, to_timestamp("atMs" / 1000), actor, payload, patch
    from jsonb_to_recordset(p_batch->'journal') as x(w text, seq bigint, type text,
      "atMs" float8, actor text, payload jsonb, patch jsonb);
  end if;
  if p_batch ? 'answers' then
    update spectra.commands c set answer = x.answer
    from jsonb_to_recordset(p_batch->'answers') as x(w text, key text, answer jsonb)
    where c.workflow_id = x.w and c.key = x.key;
  end if;
  if p_batch ? 'mail' then
    delete from spectra.mailbox where id in (
      select value::bigint from jsonb_array_elements_text(p_batch->'mail'));
  end if;
  if p_batch ? 'gone' then
    delete from spectra.timers t
    using jsonb_to_recordset(p_batch->'gone') as x(w text, k text)
    where t.workflow_id = x.w and t.key = x.k;
  end if;
  -- After the fired ones are gone: a turn may set a timer of the same name again.
  if p_batch ? 'timers' then
    insert into spectra.timers (workflow_id, key, event, due_at, remaining_ms)
    select w, key, event, to_timestamp("dueAtMs" / 1000), "remainingMs"
    from jsonb_to_recordset(p_batch->'timers')
      as x(w text, key text, event jsonb, "dueAtMs" float8, "remainingMs" float8)
    on conflict (workflow_id, key) do update set event = excluded.event, due_at = excluded.due_at,
      remaining_ms = excluded.remaining_ms;
  end if;
  if p_batch ? 'effects' then
    with put as (
      insert into spectra.outbox (workflow_id, effect)
      select w, effect from jsonb_to_recordset(p_batch->'effects') as x(w text, effect jsonb)
      returning id, workflow_id, effect)
    select jsonb_agg(jsonb_build_object('id', id, 'w', workflow_id, 'e', effect) order by id)
    into sent from put;
  end if;
  return sent;
end $$;
--> statement-breakpoint
-- The state of a task says that it is dispatched: that needs no row of the outbox any more.
delete from spectra.outbox where effect->>'type' = 'dispatch';
