# The commands. Each is a small script in .make/, which says what it does.
#
#   PORT=3001 make run      serve on another port
#   PG_MAJOR=16 make run    use another PostgreSQL (15 to 18)
#   FORCE=1 make reset      don't ask
#   BENCH_SCALE=0.05 BENCH_SECONDS=0.2 make bench
#   make lint-db DATABASE_URL=postgres://…

.DEFAULT_GOAL := help
.PHONY: help setup run psql demo test fuzz bench bench-db bench-http lint-db stop reset clean-data

help: ## Show this list
	@sed -n 's/^\([a-z-]*\): ## /\1\t/p' Makefile | while IFS='	' read -r name what; do printf '  make %-12s%s\n' "$$name" "$$what"; done

setup: ## Install what is missing, and nothing else
	@.make/setup

run: ## Serve the API on a database of its own (Ctrl-C stops both)
	@.make/run

psql: ## Open psql on that database as the DBA; also reads SQL from a pipe
	@.make/psql

demo: ## Walk two companies through a running API and show the wall between them
	@.make/demo

test: ## Check formatting and lints and run all the tests
	@.make/test

fuzz: ## Throw bytes at the token verifier for five minutes
	@.make/fuzz 300

bench: ## Measure both against what is written by hand (BENCH_SCALE=0.05 for a quick look)
	@.make/bench all

bench-db: ## Measure in the database alone
	@.make/bench db

bench-http: ## Measure the service alone
	@.make/bench http

lint-db: ## Find what breaks the wall in the database of DATABASE_URL (FORMAT=json)
	@.make/lint-db

stop: ## Stop a `make run` that runs elsewhere, and its database
	@.make/stop

reset: ## Delete the database of this folder, so that the next run makes it anew
	@.make/reset

clean-data: reset
