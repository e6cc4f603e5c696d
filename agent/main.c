/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate-agent: wires the modules together, in the order in which they need
 * each other, and takes them down again when told to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/ctl/ctl.h"
#include "agent/ctl/enrol.h"
#include "agent/dialect/carry.h"
#include "agent/front/explain.h"
#include "agent/front/status.h"
#include "agent/loop/worker.h"
#include "agent/metrics.h"
#include "agent/options.h"
#include "agent/policy/queue.h"
#include "agent/process.h"
#include "common/log.h"
#include "common/version.h"

#define ENROL_TIMEOUT_MS    60000
#define SHUTDOWN_TIMEOUT_MS 10000 /* to return rights and ship usage */
#define EXPLAIN_PER_WORKER  2048

struct app {
	struct agent_options opt;
	struct agent agent;
	struct identity identity;
	struct line line;
	struct channel_client *channel;
	struct channel_sub *sub;
	struct journal *journal;
	struct lease_table *leases;
	struct rate_table *rates;
	struct config *config;
	struct ctl *ctl;
	struct shipper *shipper;
	struct worker *workers[AGENT_MAX_WORKERS];
	struct status *status;
	uint64_t epoch;
};

/* ---- start
 * ------------------------------------------------------------------------- */

static int
app_identity(struct app *app, struct error *e)
{
	struct enrol_options opt = {.join_token = app->opt.join_token,
	    .data_dir = app->opt.data_dir,
	    .name = app->opt.name,
	    .io = io_system(),
	    .timeout_ms = ENROL_TIMEOUT_MS};
	int rc;

	rc = identity_load(io_system(), app->opt.data_dir, &app->identity, e);
	if (rc != ERR_NOT_FOUND)
		return rc;
	if (app->opt.join_token[0] == '\0')
		return err_set_field(e, ERR_USAGE, "join-token",
		    "this agent has not enrolled yet: it needs a join token "
		    "(headgate agent token)");
	rc = enrol(&opt, &app->identity, e);
	if (rc == 0)
		log_info("enrolled", LF("agent", app->identity.agent_id),
		    LF("group", app->identity.group),
		    LF("region", app->identity.region));
	return rc;
}

/* Of the kernel: another one means that the machine was restarted. NULL when
 * it cannot be had. */
static const char *
app_boot_id(char dst[64])
{
	struct buf b;
	struct str id;

	buf_init(&b, 64);
	dst[0] = '\0';
	if (io_read_file(io_system(), "/proc/sys/kernel/random/boot_id", &b,
		NULL) == 0) {
		id = str_trim(buf_str(&b));
		if (str_copy(id, dst, 64) != 0)
			dst[0] = '\0';
	}
	buf_release(&b);
	return dst[0] != '\0' ? dst : NULL;
}

static int
app_journal(struct app *app, struct error *e)
{
	struct journal_options opt = {.epoch = app->epoch,
	    .n_shards = app->agent.n_workers,
	    .segment_size = app->opt.segment_size,
	    .reserve = app->opt.journal_reserve,
	    .group_commit_ms = app->opt.group_commit,
	    .io = io_system(),
	    .clock = app->agent.clock,
	    .metrics = app->agent.metrics};
	struct journal_replay found;
	char dir[4096], boot_id[64];
	int n, rc;

	n = snprintf(dir, sizeof(dir), "%s/journal", app->opt.data_dir);
	if (n < 0 || (size_t)n >= sizeof(dir))
		return err_set(e, ERR_TOO_LARGE, "data-dir is too long");
	opt.dir = dir;
	opt.boot_id = app_boot_id(boot_id);
	memcpy(opt.agent_id, app->identity.agent_uuid, 16);
	rc = journal_open(&opt, &app->journal, &found, e);
	if (rc != 0)
		return rc;
	for (unsigned i = 0; i < app->agent.n_workers; i++)
		app->agent.shards[i] = &app->journal->shards[i];
	if (found.streams > 0)
		log_event(found.quarantined > 0 ? LOG_ERROR : LOG_INFO,
		    "journal replayed", LFI("streams", found.streams),
		    LFI("records", found.records),
		    LFI("crash_estimated", found.intents_recovered),
		    LFI("torn_tails", found.torn),
		    LFI("quarantined", found.quarantined),
		    LFI("lost", found.filled));
	if (found.may_lack > 0)
		log_event(LOG_ERROR,
		    "an earlier run may lack its last usage records (power "
		    "cut or damage): what is left of its budget rights stays "
		    "held until somebody decides (headgate budgets doubt)",
		    LFI("streams", found.may_lack));
	return journal_start(app->journal, e);
}

static int
app_queue(struct app *app, struct error *e)
{
	const int64_t max[AGENT_PLACES] = {
	    [AGENT_STREAMS] = app->opt.max_streams,
	    [AGENT_REQUESTS] = app->opt.max_requests};
	unsigned n = (unsigned)app->opt.queue_max;

	app->agent.gate = queue_gate_new(n, agent_wake, &app->agent);
	if (app->agent.gate == NULL ||
	    agent_places_init(&app->agent, max, n) != 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	return 0;
}

static int
app_config(struct app *app, struct error *e)
{
	struct config_options opt = {.agent = &app->agent,
	    .data_dir = app->opt.data_dir,
	    .io = io_system()};
	struct lease_tuning tuning = lease_tuning_default;
	int rc;

	tuning.idle_return_ns = app->opt.idle_return * NS_PER_MS;
	tuning.max_values = (size_t)app->opt.budget_values;
	/* Whoever lets requests wait for long means it. */
	if (app->opt.lease_wait * NS_PER_MS / 2 > tuning.silent_ns)
		tuning.silent_ns = app->opt.lease_wait * NS_PER_MS / 2;
	app->leases = lease_table_new(&tuning);
	app->rates = rate_table_new(&rate_tuning_default);
	if (app->leases == NULL || app->rates == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	opt.leases = app->leases;
	opt.rates = app->rates;
	memcpy(opt.control_key, app->identity.control_key, SIGN_PUBLIC_LEN);
	rc = disk_key_get(io_system(), app->opt.data_dir, app->opt.disk_key,
	    app->agent.rng, opt.disk_key, e);
	if (rc == 0)
		rc = config_new(&opt, &app->config, e);
	if (rc != 0)
		return rc;
	if (config_boot(app->config, e) == 0) {
		struct config_view v;

		config_view(app->config, &v);
		log_info("configuration from disk", LFI("version", v.version),
		    LFI("keys", v.n_keys));
	}
	return 0;
}

static int
app_subscribe(void *ctx, struct error *e)
{
	struct app *app = ctx;
	struct identity *id = &app->identity;
	struct channel_sub_options opt = {
	    .addresses = (const char *const *)id->publish,
	    .n_addresses = id->n_publish,
	    .ca_pem = id->ca_pem[0] == '\0' ? NULL : id->ca_pem,
	    .server_name = id->server_name,
	    .topic = id->group,
	    .on_message = ctl_pushed,
	    .ctx = app->ctl};

	if (id->n_publish == 0)
		return 0; /* heartbeats will do */
	return channel_sub_new(&opt, &app->sub, e);
}

static int
app_control(struct app *app, struct error *e)
{
	struct ctl_options opt = {.agent = &app->agent,
	    .identity = &app->identity,
	    .boot_epoch = app->epoch,
	    .line = &app->line,
	    .config = app->config,
	    .leases = app->leases,
	    .rates = app->rates,
	    .subscribe = app_subscribe,
	    .subscribe_ctx = app,
	    .restart = process_ask_restart,
	    .stale_after_ms = app->opt.stale_after};
	struct ship_link link = {.send = ctl_ship};
	uint8_t instance[16];
	int rc;

	app->agent.rng->fill(app->agent.rng, instance, sizeof(instance));
	hex_encode(instance, sizeof(instance), opt.instance_id);
	rc = identity_channel(&app->identity, &app->channel, e);
	if (rc != 0)
		return rc;
	app->line.identity = &app->identity;
	app->line.boot_epoch = app->epoch;
	app->line.transport = line_over_channel(app->channel);
	app->line.metrics = app->agent.metrics;
	/* Sequence numbers of a copy of this process are behind ours. */
	atomic_store(&app->line.seq,
	    (uint64_t)(clock_wall(app->agent.clock) / NS_PER_MS));
	rc = ctl_new(&opt, &app->ctl, e);
	if (rc != 0)
		return rc;
	link.ctx = app->ctl;
	rc = shipper_new(app->journal, &link, app->agent.rng, &app->shipper, e);
	if (rc != 0)
		return rc;
	ctl_set_shipper(app->ctl, app->shipper);
	leases_set_kick(ctl_kick, app->ctl);
	rate_table_kick(app->rates, ctl_kick, app->ctl);
	rc = ctl_start(app->ctl, e);
	return rc == 0 ? shipper_start(app->shipper, e) : rc;
}

static int
app_serve(struct app *app, struct error *e)
{
	struct agent *a = &app->agent;
	struct status_options opt = {.agent = a,
	    .config = app->config,
	    .leases = app->leases,
	    .rates = app->rates,
	    .journal = app->journal,
	    .shipper = app->shipper,
	    .ctl = app->ctl,
	    .agent_id = app->identity.agent_id,
	    .group = app->identity.group,
	    .region = app->identity.region};
	uint16_t port = 0;
	int rc = 0, data;

	for (unsigned i = 0; rc == 0 && i < a->n_workers; i++)
		rc = worker_start(a, i, &app->workers[i], e);
	if (rc == 0)
		rc = status_start(&opt, &app->status, &port, e);
	if (rc != 0)
		return rc;
	data = atomic_load(&a->data_port);
	rc = process_write_ports(
	    io_system(), app->opt.ports_file, data, port, e);
	log_info("listening", LFI("data", data), LFI("status", port),
	    LFI("workers", a->n_workers), LFI("epoch", app->epoch),
	    LF("agent", app->identity.agent_id),
	    LF("version", HEADGATE_VERSION));
	return rc;
}

/* Estimates are made without the tables too, less exactly. */
static void
app_tokenizers(struct app *app)
{
	const char *dir = app->opt.tokenizer_dir;
	bool asked = dir[0] != '\0';
	char found[4096];
	struct error e = {0};
	int rc;

	if (!asked) {
		process_share_dir(found, sizeof(found));
		dir = found;
	}
	rc = tokenizer_set_open(&app->agent.tokenizers, dir, &e);
	if (rc != 0)
		log_event(asked || rc != ERR_NOT_FOUND ? LOG_WARN : LOG_INFO,
		    "tokenizer tables are missing: usage is estimated by bytes",
		    LF("dir", dir), LF("error", e.text));
}

static int
app_base(struct app *app, struct error *e)
{
	struct agent *a = &app->agent;

	a->opt = &app->opt;
	a->clock = clock_system();
	a->rng = rng_system();
	a->n_workers = (unsigned)app->opt.workers;
	a->metrics = metric_set_new(agent_metric_defs, AM_COUNT);
	a->explain = explain_new(a->n_workers, EXPLAIN_PER_WORKER);
	if (a->metrics == NULL || a->explain == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	app_tokenizers(app);
	for (unsigned i = 0; i < a->n_workers; i++) {
		a->links[i].wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (a->links[i].wake_fd < 0)
			return err_set(e, ERR_NOMEM, "out of descriptors");
	}
	return 0;
}

static int
app_start(struct app *app, struct error *e)
{
	int rc;

	process_harden();
	process_block_signals();
	rc = app_base(app, e);
	if (rc == 0)
		rc = process_enter(app->opt.data_dir, app->opt.user, e);
	if (rc == 0)
		rc = process_lock(app->opt.data_dir, e);
	if (rc == 0)
		rc = app_identity(app, e);
	if (rc == 0)
		rc = epoch_next(io_system(), app->opt.data_dir, &app->epoch, e);
	if (rc == 0)
		rc = app_journal(app, e);
	if (rc == 0)
		rc = app_config(app, e);
	if (rc == 0)
		rc = app_queue(app, e);
	if (rc == 0)
		rc = app_control(app, e);
	return rc == 0 ? app_serve(app, e) : rc;
}

/* ---- stop
 * -------------------------------------------------------------------------- */

static unsigned
app_in_flight(const struct app *app)
{
	unsigned n = 0;

	for (unsigned i = 0; i < app->agent.n_workers; i++)
		if (app->workers[i] != NULL)
			n += worker_in_flight(app->workers[i]);
	return n;
}

/* Let requests finish until the timeout or a second signal; then end the
 * workers. Returns false after a second signal. */
static bool
app_drain_workers(struct app *app)
{
	struct agent *a = &app->agent;
	int64_t end = clock_mono(a->clock) + app->opt.drain_timeout * NS_PER_MS;
	bool patient = true;

	atomic_store(&a->draining, 1);
	agent_wake_all(a);
	while (patient && app_in_flight(app) > 0 && clock_mono(a->clock) < end)
		patient = process_wait_signal(20) == 0;
	if (app_in_flight(app) > 0) {
		log_warn("requests are cut off",
		    LFI("in_flight", app_in_flight(app)));
		atomic_store(&a->draining, 2);
	}
	agent_wake_all(a);
	for (unsigned i = 0; i < a->n_workers; i++) {
		worker_join(app->workers[i]);
		app->workers[i] = NULL;
	}
	return patient;
}

static void
app_stop(struct app *app)
{
	struct agent *a = &app->agent;
	bool patient;

	log_info("draining", LFI("in_flight", app_in_flight(app)));
	patient = app_drain_workers(app);
	if (app->ctl != NULL && patient) {
		bool done = ctl_drain(app->ctl, SHUTDOWN_TIMEOUT_MS);

		log_event(done ? LOG_INFO : LOG_WARN,
		    done ? "rights returned, usage shipped"
			 : "stopping with usage or rights not handed over",
		    LFB("done", done));
	}
	status_stop(app->status);
	leases_set_kick(NULL, NULL);
	if (app->rates != NULL)
		rate_table_kick(app->rates, NULL, NULL);
	if (app->channel != NULL)
		channel_client_shutdown(app->channel);
	shipper_stop(app->shipper);
	journal_stop(app->journal);
	channel_sub_free(app->sub);
	ctl_free(app->ctl);
	shipper_free(app->shipper);
	channel_client_free(app->channel);
	journal_close(app->journal);
	for (unsigned i = 0; i < a->n_workers; i++) {
		bundle_unref(atomic_exchange(&a->links[i].mailbox, NULL));
		if (a->links[i].wake_fd > 0)
			close(a->links[i].wake_fd);
	}
	queue_gate_free(a->gate);
	agent_places_free(a);
	rate_table_free(app->rates);
	config_free(app->config);
	lease_table_free(app->leases);
	explain_free(a->explain);
	tokenizer_set_close(&a->tokenizers);
	metric_set_free(a->metrics);
	identity_release(&app->identity);
	log_info("stopped");
}

/* ---- command line
 * ------------------------------------------------------------------ */

/* --help and the like: an exit code, or -1 to go on. */
static int
app_texts(int argc, char **argv)
{
	struct buf b;
	int rc = -1;

	buf_init(&b, (size_t)1 << 20);
	if (cfg_wants(argc, argv, "--help") || cfg_wants(argc, argv, "-h"))
		rc = cfg_help(&agent_options_table, &b);
	else if (cfg_wants(argc, argv, "--help-markdown"))
		rc = cfg_markdown(&agent_options_table, &b);
	else if (cfg_wants(argc, argv, "--metrics-markdown"))
		rc = metric_markdown(agent_metric_defs, AM_COUNT, &b);
	else if (cfg_wants(argc, argv, "--carry-markdown"))
		rc = carry_write_markdown(&b);
	else if (cfg_wants(argc, argv, "--version"))
		rc = buf_addz(&b, "headgate-agent " HEADGATE_VERSION "\n");
	if (rc == 0 && fwrite(b.data, 1, b.len, stdout) != b.len)
		rc = ERR_IO;
	buf_release(&b);
	return rc == -1 ? -1 : err_exit_code(rc);
}

static int
app_log(const struct agent_options *o, struct error *e)
{
	enum log_format format;
	enum log_level level;

	if (log_level_parse(o->log_level, &level) != 0)
		return err_set_field(e, ERR_USAGE, "log-level",
		    "unknown level %s", o->log_level);
	if (log_format_parse(o->log_format, &format) != 0)
		return err_set_field(e, ERR_USAGE, "log-format",
		    "unknown format %s", o->log_format);
	log_init("headgate-agent", level, format);
	return 0;
}

/* From start to stop. Returns ERR_AGAIN to start over with a newer epoch. */
static int
app_run(struct app *app, const struct agent_options *opt, struct error *e)
{
	int rc, sig = 0;

	memset(app, 0, sizeof(*app));
	app->opt = *opt;
	rc = app_start(app, e);
	if (rc == 0)
		sig = process_wait_signal(-1);
	else
		log_error("cannot start", LF("code", err_name(rc)),
		    LF("field", e->field), LF("error", e->text));
	if (sig == PROCESS_RESTART)
		log_warn("starting over with a newer boot epoch");
	app_stop(app);
	return sig == PROCESS_RESTART ? ERR_AGAIN : rc;
}

int
main(int argc, char **argv)
{
	static struct app app; /* large */
	struct agent_options opt = {0};
	struct error e = {0};
	int rc;

	rc = app_texts(argc, argv);
	if (rc >= 0)
		return rc;
	rc = agent_options_parse(&opt, argc, argv, environ, &e);
	if (rc == 0)
		rc = app_log(&opt, &e);
	if (rc != 0) {
		(void)fprintf(stderr, "headgate-agent: %s%s%s\n", e.field,
		    e.field[0] == '\0' ? "" : ": ", e.text);
		agent_options_release(&opt);
		return err_exit_code(rc);
	}
	do {
		rc = app_run(&app, &opt, &e);
	} while (rc == ERR_AGAIN);
	agent_options_release(&opt);
	return err_exit_code(rc);
}
