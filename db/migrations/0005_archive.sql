ALTER TABLE "spectra"."archived_runs" ADD COLUMN "definition_hash" text NOT NULL;--> statement-breakpoint
ALTER TABLE "spectra"."archived_runs" ADD COLUMN "parent_id" text;--> statement-breakpoint
ALTER TABLE "spectra"."archived_runs" ADD COLUMN "root_id" text;--> statement-breakpoint
ALTER TABLE "spectra"."archived_runs" ADD COLUMN "forked_from" text;--> statement-breakpoint
ALTER TABLE "spectra"."archived_runs" ADD COLUMN "schedule_id" text;--> statement-breakpoint
ALTER TABLE "spectra"."archived_runs" ADD COLUMN "idempotency_key" text;--> statement-breakpoint
ALTER TABLE "spectra"."archived_runs" ADD COLUMN "codes" text[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "spectra"."archived_runs" ADD COLUMN "summary" jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "spectra"."definitions" ADD COLUMN "agents" text[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "spectra"."archived_runs" ADD CONSTRAINT "archived_runs_definition_hash_definitions_hash_fk" FOREIGN KEY ("definition_hash") REFERENCES "spectra"."definitions"("hash") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "archived_runs_idempotency_key" ON "spectra"."archived_runs" USING btree ("idempotency_key");--> statement-breakpoint
CREATE INDEX "archived_runs_archived" ON "spectra"."archived_runs" USING btree ("archived_at");--> statement-breakpoint
CREATE INDEX "archived_runs_created" ON "spectra"."archived_runs" USING btree ("created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "archived_runs_by_status" ON "spectra"."archived_runs" USING btree ("status","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "archived_runs_by_definition" ON "spectra"."archived_runs" USING btree ("workflow","status","created_at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "archived_runs_by_version" ON "spectra"."archived_runs" USING btree ("definition_hash","created_at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "archived_runs_root" ON "spectra"."archived_runs" USING btree ("root_id");--> statement-breakpoint
CREATE INDEX "archived_runs_parent" ON "spectra"."archived_runs" USING btree ("parent_id") WHERE "spectra"."archived_runs"."parent_id" is not null;--> statement-breakpoint
CREATE INDEX "archived_runs_schedule" ON "spectra"."archived_runs" USING btree ("schedule_id") WHERE "spectra"."archived_runs"."schedule_id" is not null;--> statement-breakpoint
CREATE INDEX "archived_runs_forks" ON "spectra"."archived_runs" USING btree ("forked_from") WHERE "spectra"."archived_runs"."forked_from" is not null;--> statement-breakpoint
CREATE INDEX "archived_runs_codes" ON "spectra"."archived_runs" USING gin ("codes");--> statement-breakpoint
CREATE INDEX "archived_runs_attributes" ON "spectra"."archived_runs" USING gin ("attributes" jsonb_path_ops);--> statement-breakpoint
CREATE INDEX "definitions_agents" ON "spectra"."definitions" USING gin ("agents");--> statement-breakpoint
CREATE INDEX "tasks_error_code" ON "spectra"."tasks" USING btree (("error"->>'code')) WHERE "spectra"."tasks"."error" is not null;--> statement-breakpoint
CREATE INDEX "workflows_by_status" ON "spectra"."workflows" USING btree ("status","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "workflows_by_version" ON "spectra"."workflows" USING btree ("definition_hash","created_at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "workflows_error_code" ON "spectra"."workflows" USING btree (("error"->>'code')) WHERE "spectra"."workflows"."error" is not null;--> statement-breakpoint
UPDATE "spectra"."definitions" d SET "agents" = coalesce((SELECT array_agg(DISTINCT split_part(x #>> '{}', '.', 1)) FROM jsonb_path_query(d."body"::jsonb, '$.stages.*.tasks.*.do') x), '{}');
