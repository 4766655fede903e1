CREATE TABLE "spectra"."cluster" (
	"id" text PRIMARY KEY DEFAULT gen_random_uuid()::text NOT NULL
);
