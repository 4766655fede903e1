CREATE TABLE "spectra"."approvals" (
	"token" text PRIMARY KEY NOT NULL,
	"workflow_id" text NOT NULL,
	"task_key" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"completed_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "spectra"."archived_runs" (
	"id" text PRIMARY KEY NOT NULL,
	"workflow" text NOT NULL,
	"status" text NOT NULL,
	"attributes" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone NOT NULL,
	"archived_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"body" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."commands" (
	"workflow_id" text NOT NULL,
	"key" text NOT NULL,
	"request" text NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "commands_workflow_id_key_pk" PRIMARY KEY("workflow_id","key")
);
--> statement-breakpoint
CREATE TABLE "spectra"."durations" (
	"workflow" text NOT NULL,
	"task" text NOT NULL,
	"count" bigint NOT NULL,
	"log_mean" double precision NOT NULL,
	"log_m2" double precision NOT NULL,
	"max_ms" double precision NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "durations_workflow_task_pk" PRIMARY KEY("workflow","task")
);
--> statement-breakpoint
CREATE TABLE "spectra"."rate_buckets" (
	"pool" text PRIMARY KEY NOT NULL,
	"tokens" double precision NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."schedule_fires" (
	"schedule_id" text NOT NULL,
	"scheduled_for" timestamp (3) with time zone NOT NULL,
	"outcome" text NOT NULL,
	"workflow_id" text,
	"reason" text,
	"backfill" boolean DEFAULT false NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "schedule_fires_schedule_id_scheduled_for_pk" PRIMARY KEY("schedule_id","scheduled_for")
);
--> statement-breakpoint
CREATE TABLE "spectra"."schedules" (
	"id" text PRIMARY KEY NOT NULL,
	"spec" jsonb NOT NULL,
	"paused" boolean DEFAULT false NOT NULL,
	"next_at" timestamp (3) with time zone,
	"revision" bigint DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."slots" (
	"pool" text NOT NULL,
	"workflow_id" text NOT NULL,
	"task_key" text NOT NULL,
	"attempt" integer NOT NULL,
	"owner" text NOT NULL,
	"taken_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "slots_pool_workflow_id_task_key_pk" PRIMARY KEY("pool","workflow_id","task_key")
);
--> statement-breakpoint
ALTER TABLE "spectra"."timers" ALTER COLUMN "due_at" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "spectra"."journal" ADD COLUMN "patch" jsonb;--> statement-breakpoint
ALTER TABLE "spectra"."tasks" ADD COLUMN "plan" text;--> statement-breakpoint
ALTER TABLE "spectra"."tasks" ADD COLUMN "agent" text;--> statement-breakpoint
ALTER TABLE "spectra"."tasks" ADD COLUMN "action" text;--> statement-breakpoint
ALTER TABLE "spectra"."tasks" ADD COLUMN "heartbeat_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "spectra"."tasks" ADD COLUMN "progress" jsonb;--> statement-breakpoint
ALTER TABLE "spectra"."tasks" ADD COLUMN "extras" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "spectra"."tasks" ADD COLUMN "scheduled_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "spectra"."timers" ADD COLUMN "remaining_ms" bigint;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "output" jsonb;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "extras" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "attributes" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "tenant" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "parent_id" text;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "parent_task" text;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "root_id" text;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "forked_from" text;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "forked_at_seq" bigint;--> statement-breakpoint
ALTER TABLE "spectra"."workflows" ADD COLUMN "schedule_id" text;--> statement-breakpoint
ALTER TABLE "spectra"."approvals" ADD CONSTRAINT "approvals_workflow_id_workflows_id_fk" FOREIGN KEY ("workflow_id") REFERENCES "spectra"."workflows"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."commands" ADD CONSTRAINT "commands_workflow_id_workflows_id_fk" FOREIGN KEY ("workflow_id") REFERENCES "spectra"."workflows"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."schedule_fires" ADD CONSTRAINT "schedule_fires_schedule_id_schedules_id_fk" FOREIGN KEY ("schedule_id") REFERENCES "spectra"."schedules"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "spectra"."slots" ADD CONSTRAINT "slots_workflow_id_workflows_id_fk" FOREIGN KEY ("workflow_id") REFERENCES "spectra"."workflows"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "approvals_by_task" ON "spectra"."approvals" USING btree ("workflow_id","task_key");--> statement-breakpoint
CREATE INDEX "archived_runs_finished" ON "spectra"."archived_runs" USING btree ("finished_at");--> statement-breakpoint
CREATE INDEX "schedules_due" ON "spectra"."schedules" USING btree ("next_at") WHERE not "spectra"."schedules"."paused";--> statement-breakpoint
CREATE INDEX "slots_by_task" ON "spectra"."slots" USING btree ("workflow_id","task_key");--> statement-breakpoint
CREATE INDEX "workflows_parent" ON "spectra"."workflows" USING btree ("parent_id") WHERE "spectra"."workflows"."parent_id" is not null;--> statement-breakpoint
CREATE INDEX "workflows_by_definition" ON "spectra"."workflows" USING btree ("workflow","status","created_at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "workflows_attributes" ON "spectra"."workflows" USING gin ("attributes" jsonb_path_ops);--> statement-breakpoint
CREATE INDEX "workflows_finished" ON "spectra"."workflows" USING btree ("finished_at") WHERE "spectra"."workflows"."finished_at" is not null;