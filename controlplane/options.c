/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See options.h.
 */
#include "controlplane/options.h"

#include <string.h>

#define OPT(field) offsetof(struct control_options, field)

static const struct cfg_option control_option_table[] = {
    {"store", CFG_STRING, OPT(store), "embedded:headgate-data", 0, 0, "STORE",
	"Where everything is kept: embedded:DIR starts and owns a private "
	"PostgreSQL in DIR; postgresql://... uses a server of your own (15 or "
	"newer)."},
    {"listen", CFG_LISTEN, OPT(listen), "127.0.0.1:7400", 0, 0, "HOST:PORT",
	"Admin REST interface and console. Plain HTTP: put TLS in front "
	"before you bind it elsewhere. Port 0 takes a free one."},
    {"channel-listen", CFG_LISTEN, OPT(channel_listen), "127.0.0.1:7401", 0, 0,
	"HOST:PORT", "Agent channel, requests (TLS)."},
    {"publish-listen", CFG_LISTEN, OPT(publish_listen), "127.0.0.1:7402", 0, 0,
	"HOST:PORT", "Agent channel, publications (TLS)."},
    {"advertise", CFG_STRING, OPT(advertise), "", 0, 0, "URL[,URL]",
	"Addresses of the agent channel that join tokens carry, such as "
	"tls+tcp://control.example.com:7401; default: what "
	"--channel-listen says, the loopback for any address."},
    {"advertise-publish", CFG_STRING, OPT(advertise_publish), "", 0, 0,
	"URL[,URL]",
	"Addresses of the publications likewise; default: what "
	"--publish-listen says."},
    {"tls-name", CFG_STRING, OPT(tls_name), "localhost,127.0.0.1,::1", 0, 0,
	"NAME[,NAME]",
	"DNS names and addresses in the channel's certificate; agents check "
	"the first one."},
    {"master-key-file", CFG_STRING, OPT(master_key_file), "", 0, 0, "FILE",
	"Master key that seals credentials and keys in the database (64 "
	"hexadecimal digits); made when missing. Default for an embedded "
	"store: DIR/master.key. The variable HEADGATE_MASTER_KEY may hold the "
	"key itself instead."},
    {"bootstrap-token-file", CFG_STRING, OPT(bootstrap_token_file), "", 0, 0,
	"FILE",
	"Where the first owner token is written (mode 0600) when the store "
	"has none; default: printed once to stderr."},
    {"ports-file", CFG_STRING, OPT(ports_file), "", 0, 0, "FILE",
	"Written when ready, with the bound ports as lines name=PORT."},
    {"log-format", CFG_STRING, OPT(log_format), "json", 0, 0, "json|text",
	"Form of log lines on stderr."},
    {"log-level", CFG_STRING, OPT(log_level), "info", 0, 0, "LEVEL",
	"Least level that is logged: debug, info, warn, error."},
    {"rest-threads", CFG_INT, OPT(rest_threads), "8", 2, 256, "N",
	"Threads of the REST interface."},
    {"max-body", CFG_BYTES, OPT(max_body), "8MiB", 65536, 268435456, "SIZE",
	"Largest body of a REST request."},
    {"channel-threads", CFG_INT, OPT(channel_threads), "8", 1, 64, "N",
	"Threads that answer agents."},
    {"db-connections", CFG_INT, OPT(db_connections), "24", 4, 500, "N",
	"Most connections to PostgreSQL at a time."},
    {"heartbeat", CFG_DURATION, OPT(heartbeat_ms), "1s", 100, 60000, "DURATION",
	"How often agents report."},
    {"reconcile-interval", CFG_DURATION, OPT(reconcile_ms), "5m", 0, 86400000,
	"DURATION",
	"How often usage, ledger, sums, budgets and leases are compared with "
	"each other (by one replica); 0s: only on demand."},
    {"usage-retention", CFG_INT, OPT(usage_retention), "0", 0, 36500, "DAYS",
	"Drop single usage records after so many days; never the ledger, the "
	"sums, or days that differ. 0: keep them."},
    {"audit-retention", CFG_INT, OPT(audit_retention), "0", 0, 36500, "DAYS",
	"Delete entries of the audit log after so many days; an entry says "
	"how many went. 0: keep them."},
    {"value-idle", CFG_INT, OPT(value_idle), "35", 0, 36500, "DAYS",
	"Of budgets for each value: who was not used for so many days, and "
	"spent nothing in the period, no longer counts for max_values. 0: "
	"all count for ever."},
    {"stop-timeout", CFG_DURATION, OPT(stop_ms), "20s", 1000, 600000,
	"DURATION", "Longest clean stop; then the process ends at once."},
    {"user", CFG_STRING, OPT(user), "", 0, 0, "USER",
	"Started as root, become this user when everything is open."},
    {"postgres-user", CFG_STRING, OPT(postgres_user), "", 0, 0, "USER",
	"Started as root, who the embedded PostgreSQL runs as; default: "
	"--user, else postgres, else nobody."},
    {"postgres-bindir", CFG_STRING, OPT(postgres_bindir), "", 0, 0, "DIR",
	"Folder of initdb and postgres for an embedded store; default: "
	"found."},
    {"store-unsafe-fast", CFG_BOOL, OPT(store_unsafe_fast), "false", 0, 0, "",
	"Embedded PostgreSQL without fsync. For tests only: a power cut "
	"destroys the data."},
};

/* Only of admin-token; the same table with these behind. */
#define N_DAEMON \
	(sizeof(control_option_table) / sizeof(control_option_table[0]))

static const struct cfg_option admin_option_table[] = {
    {"name", CFG_STRING, OPT(name), "", 0, 0, "NAME",
	"admin-token: name of the token."},
    {"role", CFG_STRING, OPT(role), "owner", 0, 0, "ROLE",
	"admin-token create: owner, admin, finance or viewer."},
    {"expires-in", CFG_STRING, OPT(expires_in), "", 0, 0, "DURATION",
	"admin-token create: life of the token, such as 720h; default: no "
	"end."},
};
#define N_ADMIN (sizeof(admin_option_table) / sizeof(admin_option_table[0]))

static const char control_usage[] =
    "headgate-control [serve] [OPTION]...\n"
    "       headgate-control migrate [OPTION]...\n"
    "       headgate-control admin-token create|list|revoke --name NAME "
    "[--role ROLE] [OPTION]...\n"
    "       headgate-control check [OPTION]...\n"
    "       headgate-control openapi | routes";

const struct cfg_table *
control_table(bool admin_token)
{
	static const struct cfg_table daemon = {"headgate-control",
	    "The control plane of Headgate: configuration, budgets, usage.",
	    control_usage, control_option_table, N_DAEMON};
	static struct cfg_option all[N_DAEMON + N_ADMIN];
	static struct cfg_table admin = {"headgate-control",
	    "The control plane of Headgate: configuration, budgets, usage.",
	    control_usage, all, N_DAEMON + N_ADMIN};

	if (!admin_token)
		return &daemon;
	memcpy(all, control_option_table, sizeof(control_option_table));
	memcpy(all + N_DAEMON, admin_option_table, sizeof(admin_option_table));
	return &admin;
}

const char *
control_embedded_dir(const struct control_options *o)
{
	static const char prefix[] = "embedded:";

	if (strncmp(o->store, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	return o->store + sizeof(prefix) - 1;
}

int
control_options_check(const struct control_options *o, struct error *e)
{
	const char *dir = control_embedded_dir(o);

	if (dir != NULL && *dir == '\0')
		return err_set_field(e, ERR_USAGE, "store",
		    "--store embedded:DIR needs a folder");
	if (dir == NULL && strncmp(o->store, "postgresql://", 13) != 0 &&
	    strncmp(o->store, "postgres://", 11) != 0)
		return err_set_field(e, ERR_USAGE, "store",
		    "--store must be embedded:DIR or postgresql://...");
	if (dir == NULL && *o->postgres_user != '\0')
		return err_set_field(e, ERR_USAGE, "postgres-user",
		    "--postgres-user is for an embedded store");
	if (dir != NULL && *o->user != '\0' && *o->postgres_user != '\0' &&
	    strcmp(o->user, o->postgres_user) != 0)
		return err_set_field(e, ERR_USAGE, "postgres-user",
		    "--user and --postgres-user must be the same, or the "
		    "control plane could not stop its PostgreSQL");
	return 0;
}
