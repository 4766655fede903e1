CREATE SCHEMA IF NOT EXISTS "spectra";
--> statement-breakpoint
CREATE TABLE "spectra"."ballots" (
	"vote_id" text NOT NULL,
	"voter" text NOT NULL,
	"approve" boolean NOT NULL,
	"reason" text NOT NULL,
	"cast_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "ballots_pk" PRIMARY KEY("vote_id","voter")
);
--> statement-breakpoint
CREATE TABLE "spectra"."barrier_arrivals" (
	"barrier_id" text NOT NULL,
	"participant" text NOT NULL,
	"arrived_at" timestamp with time zone,
	CONSTRAINT "barrier_arrivals_pk" PRIMARY KEY("barrier_id","participant")
);
--> statement-breakpoint
CREATE TABLE "spectra"."barriers" (
	"id" text PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"deadline_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."group_members" (
	"group_id" text NOT NULL,
	"member" text NOT NULL,
	CONSTRAINT "group_members_pk" PRIMARY KEY("group_id","member")
);
--> statement-breakpoint
CREATE TABLE "spectra"."groups" (
	"id" text PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."reservations" (
	"id" text PRIMARY KEY NOT NULL,
	"node" text NOT NULL,
	"holder" text NOT NULL,
	"cpu" double precision NOT NULL,
	"memory_mb" double precision NOT NULL,
	"reserved_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_ends_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."votes" (
	"id" text PRIMARY KEY NOT NULL,
	"proposal" jsonb NOT NULL,
	"voters" text[] NOT NULL,
	"required" integer NOT NULL,
	"timeout_ms" bigint NOT NULL,
	"outcome" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"decided_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "spectra"."cluster" (
	"id" text PRIMARY KEY DEFAULT gen_random_uuid()::text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."definitions" (
	"hash" text PRIMARY KEY NOT NULL,
	"workflow" text NOT NULL,
	"body" json NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."journal" (
	"workflow_id" text NOT NULL,
	"seq" bigint NOT NULL,
	"type" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"actor" text NOT NULL,
	"payload" jsonb NOT NULL,
	CONSTRAINT "journal_workflow_id_seq_pk" PRIMARY KEY("workflow_id","seq")
);
--> statement-breakpoint
CREATE TABLE "spectra"."mailbox" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"workflow_id" text NOT NULL,
	"event" jsonb NOT NULL,
	"dedupe_key" text NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."nodes" (
	"incarnation" text PRIMARY KEY NOT NULL,
	"node_id" text NOT NULL,
	"url" text,
	"started_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."outbox" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"workflow_id" text NOT NULL,
	"effect" jsonb NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."tasks" (
	"workflow_id" text NOT NULL,
	"key" text NOT NULL,
	"position" integer NOT NULL,
	"status" text NOT NULL,
	"attempt" integer DEFAULT 0 NOT NULL,
	"failures" integer DEFAULT 0 NOT NULL,
	"node" text,
	"output" jsonb,
	"error" jsonb,
	"checkpoint" jsonb,
	"ready_at" timestamp (3) with time zone,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	CONSTRAINT "tasks_workflow_id_key_pk" PRIMARY KEY("workflow_id","key")
);
--> statement-breakpoint
CREATE TABLE "spectra"."timers" (
	"workflow_id" text NOT NULL,
	"key" text NOT NULL,
	"event" jsonb NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "timers_workflow_id_key_pk" PRIMARY KEY("workflow_id","key")
);
--> statement-breakpoint
CREATE TABLE "spectra"."workflows" (
	"id" text PRIMARY KEY NOT NULL,
	"workflow" text NOT NULL,
	"title" text NOT NULL,
	"definition_hash" text NOT NULL,
	"status" text NOT NULL,
	"place" text NOT NULL,
	"priority" integer NOT NULL,
	"input" jsonb NOT NULL,
	"error" jsonb,
	"seq" bigint DEFAULT 0 NOT NULL,
	"owner" text,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"idempotency_key" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone
);
--> statement-breakpoint
ALTER TABLE "spectra"."ballots" ADD CONSTRAINT "ballots_vote_id_votes_id_fk" FOREIGN KEY ("vote_id") REFERENCES "spectra"."votes"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."barrier_arrivals" ADD CONSTRAINT "barrier_arrivals_barrier_id_barriers_id_fk" FOREIGN KEY ("barrier_id") REFERENCES "spectra"."barriers"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."group_members" ADD CONSTRAINT "group_members_group_id_groups_id_fk" FOREIGN KEY ("group_id") REFERENCES "spectra"."groups"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."journal" ADD CONSTRAINT "journal_workflow_id_workflows_id_fk" FOREIGN KEY ("workflow_id") REFERENCES "spectra"."workflows"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."mailbox" ADD CONSTRAINT "mailbox_workflow_id_workflows_id_fk" FOREIGN KEY ("workflow_id") REFERENCES "spectra"."workflows"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."outbox" ADD CONSTRAINT "outbox_workflow_id_workflows_id_fk" FOREIGN KEY ("workflow_id") REFERENCES "spectra"."workflows"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."tasks" ADD CONSTRAINT "tasks_workflow_id_workflows_id_fk" FOREIGN KEY ("workflow_id") REFERENCES "spectra"."workflows"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."timers" ADD CONSTRAINT "timers_workflow_id_workflows_id_fk" FOREIGN KEY ("workflow_id") REFERENCES "spectra"."workflows"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD CONSTRAINT "workflows_definition_hash_definitions_hash_fk" FOREIGN KEY ("definition_hash") REFERENCES "spectra"."definitions"("hash") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "barriers_deadline_idx" ON "spectra"."barriers" USING btree ("deadline_at");--> statement-breakpoint
CREATE INDEX "group_members_member_idx" ON "spectra"."group_members" USING btree ("member");--> statement-breakpoint
CREATE INDEX "reservations_node_idx" ON "spectra"."reservations" USING btree ("node","lease_ends_at");--> statement-breakpoint
CREATE INDEX "reservations_holder_idx" ON "spectra"."reservations" USING btree ("holder");--> statement-breakpoint
CREATE INDEX "votes_created_idx" ON "spectra"."votes" USING btree ("created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "mailbox_dedupe_key" ON "spectra"."mailbox" USING btree ("dedupe_key");--> statement-breakpoint
CREATE INDEX "mailbox_by_workflow" ON "spectra"."mailbox" USING btree ("workflow_id","id");--> statement-breakpoint
CREATE INDEX "outbox_by_workflow" ON "spectra"."outbox" USING btree ("workflow_id","id");--> statement-breakpoint
CREATE INDEX "tasks_in_flight" ON "spectra"."tasks" USING btree ("status") WHERE "spectra"."tasks"."status" in ('dispatched', 'running');--> statement-breakpoint
CREATE INDEX "timers_due" ON "spectra"."timers" USING btree ("due_at");--> statement-breakpoint
CREATE UNIQUE INDEX "workflows_idempotency_key" ON "spectra"."workflows" USING btree ("idempotency_key");--> statement-breakpoint
CREATE INDEX "workflows_created" ON "spectra"."workflows" USING btree ("created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "workflows_open" ON "spectra"."workflows" USING btree ("owner") WHERE "spectra"."workflows"."status" in ('pending', 'running', 'paused');