/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of headgate-control, in one table: flags, environment, file,
 * --help and docs/CONFIG.md come from it.
 */
#ifndef CONTROLPLANE_OPTIONS_H
#define CONTROLPLANE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cfg.h"

struct control_options {
	const char *store; /* embedded:DIR or a libpq URI */
	const char *listen, *channel_listen, *publish_listen;
	const char *advertise, *advertise_publish, *tls_name;
	const char *master_key_file;
	const char *bootstrap_token_file, *ports_file;
	const char *log_format, *log_level;
	const char *user, *postgres_user, *postgres_bindir;
	int64_t rest_threads, channel_threads, db_connections;
	int64_t max_body;	       /* bytes */
	int64_t heartbeat_ms, stop_ms; /* milliseconds */
	int64_t reconcile_ms;
	int64_t usage_retention; /* days; 0 = for ever */
	int64_t audit_retention; /* likewise */
	int64_t value_idle;	 /* days; 0 = never */
	bool store_unsafe_fast;
	/* sub-command admin-token */
	const char *name, *role, *expires_in;
};

/* The table: of the daemon, or with the flags of admin-token. */
const struct cfg_table *control_table(bool admin_token);
/* DIR of store "embedded:DIR", NULL for another store. */
const char *control_embedded_dir(const struct control_options *o);
/* Checks beyond single values; fills defaults that depend on others. */
int control_options_check(
    const struct control_options *o, struct error *e) MUST_CHECK;

#endif
