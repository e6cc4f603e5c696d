/* SPDX-License-Identifier: Apache-2.0 */
/* Options of headgate-agent, see options.h. */
#include "agent/options.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define OPT(name, type, member, def, min, max, arg, help)                     \
	{                                                                     \
		name, type, offsetof(struct agent_options, member), def, min, \
		    max, arg, help                                            \
	}
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static const struct cfg_option agent_option_list[] = {
    OPT("data-listen", CFG_LISTEN, data_listen, "127.0.0.1:7410", 0, 0,
	"HOST:PORT",
	"Where applications connect. Port 0 takes a free one, see "
	"--ports-file."),
    OPT("status-listen", CFG_LISTEN, status_listen, "127.0.0.1:7411", 0, 0,
	"HOST:PORT", "Health, metrics and explanations, without credentials."),
    OPT("data-dir", CFG_STRING, data_dir, "/var/lib/headgate-agent", 0, 0,
	"DIR",
	"Identity, journal and cached configuration. One agent, one folder; "
	"it must survive restarts."),
    OPT("join-token", CFG_SECRET, join_token, "", 0, 0, "TOKEN",
	"Enrols with the control plane at the first start; not looked at "
	"afterwards."),
    OPT("name", CFG_STRING, name, "", 0, 0, "NAME",
	"Name shown to admins when enrolling; default: the host's name."),
    OPT("workers", CFG_INT, workers, "0", 0, AGENT_MAX_WORKERS, "N",
	"Event loops that serve requests; 0 = one a processor."),
    OPT("user", CFG_STRING, user, "", 0, 0, "USER",
	"User to run as when started as root; gets the data folder."),
    OPT("ports-file", CFG_STRING, ports_file, "", 0, 0, "FILE",
	"Written when ready: lines data=PORT and status=PORT."),
    OPT("log-format", CFG_STRING, log_format, "text", 0, 0, "json|text",
	"Form of the log lines on standard error."),
    OPT("log-level", CFG_STRING, log_level, "info", 0, 0, "LEVEL",
	"debug, info, warn or error."),
    OPT("max-body", CFG_BYTES, max_body, "16MiB", 1 * KIB, 1 * GIB, "SIZE",
	"Largest request body; larger ones get 413."),
    OPT("max-head", CFG_BYTES, max_head, "32KiB", 1 * KIB, 1 * MIB, "SIZE",
	"Largest request head."),
    OPT("max-connections", CFG_INT, max_connections, "10000", 1, 1000000, "N",
	"Client connections of all workers."),
    OPT("max-streams", CFG_INT, max_streams, "10000", 1, 1000000, "N",
	"Streamed answers at the same time, all workers; more wait for a place "
	"by priority."),
    OPT("max-requests", CFG_INT, max_requests, "0", 0, 1000000, "N",
	"Requests that are with providers at the same time, all workers; more "
	"wait for a place by priority. 0 = as many as there are connections."),
    OPT("stream-buffer", CFG_BYTES, stream_buffer, "64KiB", 4 * KIB, 64 * MIB,
	"SIZE",
	"What is kept of a stream for a slow client before the provider is "
	"held back."),
    OPT("lease-wait", CFG_DURATION, lease_wait, "2s", 0, 60000, "TIME",
	"How long a request waits for budget rights before 429."),
    OPT("queue-wait", CFG_DURATION, queue_wait, "2s", 0, 60000, "TIME",
	"How long a request waits for a place, at a deployment or of the "
	"agent, before 503."),
    OPT("queue-max", CFG_INT, queue_max, "1000", 1, 1000000, "N",
	"Requests that wait at once, all workers: so many for places at "
	"deployments, as many for places of the agent."),
    OPT("budget-values", CFG_INT, budget_values, "10000", 1, 1000000, "N",
	"Values that are counted at once by budgets for each value (users, "
	"tags); requests with more get 429."),
    OPT("idle-return", CFG_DURATION, idle_return, "5s", 100, 3600000, "TIME",
	"Budget rights go back after this long without use."),
    OPT("stale-after", CFG_DURATION, stale_after, "24h", 0, INT64_MAX / 1000000,
	"TIME",
	"Without contact to the control plane for this long, refuse requests "
	"(revoked keys are not known any more); 0 = never."),
    OPT("drain-timeout", CFG_DURATION, drain_timeout, "30s", 0, 3600000, "TIME",
	"At SIGTERM, how long requests in flight may take to finish."),
    OPT("segment-size", CFG_BYTES, segment_size, "64MiB", 64 * KIB, 4 * GIB,
	"SIZE", "Size at which a new journal file begins."),
    OPT("journal-reserve", CFG_BYTES, journal_reserve, "16MiB", 0, 64 * GIB,
	"SIZE",
	"Disk space kept for the usage of requests in flight; with less, "
	"requests with budgets are refused."),
    OPT("group-commit", CFG_DURATION, group_commit, "5ms", 0, 1000, "TIME",
	"How long journal writes are gathered for one fsync."),
    OPT("upstream-ca-file", CFG_STRING, upstream_ca_file, "", 0, 0, "FILE",
	"PEM file of the authorities that may certify providers, instead of "
	"the system's."),
    OPT("tokenizer-dir", CFG_STRING, tokenizer_dir, "", 0, 0, "DIR",
	"Tokenizer tables (*.bpe) for estimates of usage; default: "
	"../share/headgate beside the program's folder. Without them bytes "
	"are counted."),
    OPT("disk-key", CFG_SECRET, disk_key, "", 0, 0, "KEY",
	"Encrypts the cached configuration; default: a key made in the data "
	"folder."),
    OPT("forward-sim-headers", CFG_BOOL, forward_sim_headers, "false", 0, 0, "",
	"Tests only: pass x-sim-* headers on to the provider."),
};

const struct cfg_table agent_options_table = {
    .program = "headgate-agent",
    .summary = "Gateway for AI traffic: enforces budgets, limits and routes "
	       "locally, meters every request.",
    .usage = "headgate-agent [OPTION]...",
    .options = agent_option_list,
    .n_options = sizeof(agent_option_list) / sizeof(agent_option_list[0]),
};

static int
agent_options_check(struct agent_options *o, struct error *e)
{
	if (o->data_dir[0] == '\0')
		return err_set_field(
		    e, ERR_USAGE, "data-dir", "a data folder is needed");
	if (o->workers == 0) {
		long n = sysconf(_SC_NPROCESSORS_ONLN);

		o->workers = n < 1		     ? 1
			     : n > AGENT_MAX_WORKERS ? AGENT_MAX_WORKERS
						     : n;
	}
	return 0;
}

int
agent_options_parse(struct agent_options *o, int argc, char *const *argv,
    char *const *envp, struct error *e)
{
	char **rest = calloc((size_t)argc + 1, sizeof(*rest));
	size_t n_rest = 0;
	int rc;

	if (rest == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = cfg_parse(
	    &agent_options_table, o, argc, argv, envp, rest, &n_rest, e);
	if (rc == 0 && n_rest > 0)
		rc = err_set(e, ERR_USAGE, "unexpected argument: %s", rest[0]);
	free(rest);
	return rc == 0 ? agent_options_check(o, e) : rc;
}

void
agent_options_release(struct agent_options *o)
{
	cfg_release(&agent_options_table, o);
}
