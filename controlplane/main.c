/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate-control: wires the modules together. The main thread starts
 * everything, waits for signals, watches over an embedded PostgreSQL, does
 * the periodic work and stops everything in order.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "controlplane/boot.h"
#include "controlplane/fleet/fleet.h"
#include "controlplane/metrics.h"
#include "controlplane/money/reconcile.h"
#include "controlplane/money/watch.h"
#include "controlplane/options.h"
#include "controlplane/rest/rest.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/pki.h"
#include "controlplane/store/store_admin.h"
#include "controlplane/store/store_usage.h"

#ifndef HEADGATE_VERSION
#define HEADGATE_VERSION "0.1.0"
#endif
#define TICK_MS	     200
#define HOUSEKEEP_MS 600000

struct control {
	const struct control_options *o;
	struct boot boot;
	struct metric_set *metrics;
	struct pki *pki;
	struct fleet *fleet;
	struct rest *rest;
	struct reconcile *reconcile;
	struct fleet_stats counted; /* what the metrics have */
	int signal_fd;
	int64_t next_restart, next_housekeeping, next_watch; /* mono ns */
	int64_t restart_backoff_ms;
};

static int
control_fail(const struct error *e)
{
	log_error("cannot go on", LF("error", e->text),
	    LF("code", err_name(e->code)));
	return err_exit_code(e->code);
}

/* ---- starting ---- */

/* Signals arrive by descriptor; threads started later inherit the mask. */
static int
control_signals(struct control *c, struct error *e)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return err_set(e, ERR_INTERNAL, "cannot block signals");
	c->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->signal_fd < 0)
		return err_set(e, ERR_LIMIT, "cannot make a signalfd");
	return 0;
}

static int
control_start_fleet(struct control *c, struct error *e)
{
	struct fleet_options fo = {
	    .store = c->boot.store,
	    .vault = c->boot.vault,
	    .pki = c->pki,
	    .listen = c->o->channel_listen,
	    .listen_publish = c->o->publish_listen,
	    .advertise = c->o->advertise,
	    .advertise_publish = c->o->advertise_publish,
	    .tls_name = c->o->tls_name,
	    .n_workers = (unsigned)c->o->channel_threads,
	    .heartbeat_ms = (uint32_t)c->o->heartbeat_ms,
	    .metrics = c->metrics,
	};

	return fleet_new(&fo, &c->fleet, e);
}

static int
control_start_rest(struct control *c, struct error *e)
{
	struct rest_options ro = {
	    .listen = c->o->listen,
	    .threads = (unsigned)c->o->rest_threads,
	    .max_body = (size_t)c->o->max_body,
	    .store = c->boot.store,
	    .vault = c->boot.vault,
	    .join_create = fleet_join_create,
	    .join_ctx = c->fleet,
	    .metrics = c->metrics,
	};

	return rest_start(&ro, &c->rest, e);
}

static int
control_start_reconcile(struct control *c, struct error *e)
{
	struct reconcile_options ro = {.store = c->boot.store,
	    .metrics = c->metrics,
	    .interval_ms = c->o->reconcile_ms,
	    .retention_days = c->o->usage_retention,
	    .audit_days = c->o->audit_retention};

	return reconcile_start(&ro, &c->reconcile, e);
}

static int
control_ports(struct control *c, struct error *e)
{
	char text[128];
	int n;

	n = snprintf(text, sizeof(text), "rest=%u\nchannel=%u\npublish=%u\n",
	    rest_port(c->rest), fleet_port(c->fleet),
	    fleet_publish_port(c->fleet));
	log_info("listening", LFI("rest", rest_port(c->rest)),
	    LFI("channel", fleet_port(c->fleet)),
	    LFI("publish", fleet_publish_port(c->fleet)));
	if (*c->o->ports_file == '\0')
		return 0;
	return io_write_file_atomic(
	    io_system(), c->o->ports_file, text, (size_t)n, 0644, e);
}

static int
control_start(struct control *c, struct error *e)
{
	int64_t now = clock_wall(clock_system());
	bool made;
	int rc;

	rc = control_signals(c, e);
	if (rc == 0)
		rc = boot_open(c->o, BOOT_SERVE, &c->boot, e);
	if (rc == 0)
		rc = pki_load(c->boot.store, c->boot.vault, c->o->tls_name, now,
		    &c->pki, e);
	if (rc == 0)
		rc = store_usage_maintain(c->boot.store, now, e);
	if (rc != 0)
		return rc;
	c->metrics = control_metrics_new();
	if (c->metrics == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	rc = control_start_fleet(c, e);
	if (rc == 0)
		rc = control_start_rest(c, e);
	if (rc == 0)
		rc = control_start_reconcile(c, e);
	if (rc == 0)
		rc = boot_first_token(
		    c->boot.store, c->o->bootstrap_token_file, &made, e);
	if (rc == 0 && made)
		log_info("first owner token made",
		    LF("file", c->o->bootstrap_token_file));
	if (rc == 0)
		rc = control_ports(c, e);
	if (rc == 0)
		rc = boot_drop_user(c->o, e);
	return rc;
}

/* ---- running ---- */

static void
control_watch_store(struct control *c, int64_t now)
{
	struct error e;

	if (c->boot.em == NULL || embedded_is_running(c->boot.em)) {
		c->restart_backoff_ms = 0;
		return;
	}
	if (now < c->next_restart)
		return;
	log_warn("embedded PostgreSQL ended, starting it again");
	if (embedded_restart(c->boot.em, &e) == 0) {
		log_info("embedded PostgreSQL runs again");
		return;
	}
	log_error("embedded PostgreSQL does not start", LF("error", e.text));
	c->restart_backoff_ms = c->restart_backoff_ms * 2 + 500;
	if (c->restart_backoff_ms > 30000)
		c->restart_backoff_ms = 30000;
	c->next_restart =
	    clock_mono(clock_system()) + c->restart_backoff_ms * NS_PER_MS;
}

static int
control_expire(struct db *db, void *ctx, struct error *e)
{
	(void)ctx;
	return idem_expire(db, e);
}

static void
control_housekeep(struct control *c, int64_t now)
{
	struct error e;
	int rc;

	if (now < c->next_housekeeping)
		return;
	c->next_housekeeping = now + HOUSEKEEP_MS * NS_PER_MS;
	rc =
	    store_usage_maintain(c->boot.store, clock_wall(clock_system()), &e);
	if (rc == 0)
		rc = store_tx(c->boot.store, 0, control_expire, NULL, &e);
	if (rc != 0)
		log_warn("housekeeping failed, will be tried again",
		    LF("error", e.text));
}

static void
control_watch_budgets(struct control *c, int64_t now)
{
	struct watch_result w;
	struct error e;

	if (now < c->next_watch)
		return;
	c->next_watch = now + WATCH_EVERY_MS * NS_PER_MS;
	if (watch_budgets(c->boot.store, clock_wall(clock_system()),
		c->o->value_idle * 86400 * NS_PER_S, &w, &e) != 0)
		log_warn("the watch over budgets failed, will be tried again",
		    LF("error", e.text));
	metric_inc(c->metrics, CM_DOUBT_RELEASED, w.released);
	metric_inc(c->metrics, CM_BUDGET_EVENTS, w.events);
	metric_inc(c->metrics, CM_PERIODS_CLOSED, w.closed);
	metric_inc(c->metrics, CM_CARRIED, w.carried);
	if (w.retired > 0)
		log_info("values that nobody used gave up their places",
		    LFI("values", w.retired));
	if (w.released > 0)
		log_warn("rights of vanished agents were given back",
		    LFI("nanousd", w.released));
}

static void
control_count(struct control *c)
{
	struct fleet_stats *was = &c->counted, now;
	struct metric_set *m = c->metrics;

	fleet_stats(c->fleet, &now);
	metric_set_gauge(m, CM_FLEET_CONNECTIONS, now.connections);
	metric_set_gauge(m, CM_FLEET_AGENTS, now.agents);
	metric_set_gauge(m, CM_FLEET_LAGGING, now.lagging);
	metric_inc(
	    m, CM_FLEET_REQUESTS, (int64_t)(now.requests - was->requests));
	metric_set_gauge(m, CM_FLEET_STUCK, now.stuck);
	if (now.stuck > 0 && was->stuck == 0)
		log_warn("nng frees no connection any more: restart this "
			 "process when it suits",
		    LFI("stuck", now.stuck));
	metric_inc(m, CM_FLEET_REOPENED, now.reopened - was->reopened);
	metric_inc(m, CM_FLEET_REFUSED, (int64_t)(now.refused - was->refused));
	metric_inc(m, CM_USAGE_RECORDS,
	    (int64_t)(now.usage_records - was->usage_records));
	metric_inc(m, CM_USAGE_SLOWED,
	    (int64_t)(now.usage_slowed - was->usage_slowed));
	metric_inc(m, CM_LEASE_GRANTS, (int64_t)(now.grants - was->grants));
	metric_inc(m, CM_LEASE_GRANTED_NANOUSD, now.granted - was->granted);
	*was = now;
}

/* The signal that asks to stop, 0 = none. */
static int
control_signal(struct control *c)
{
	struct signalfd_siginfo si;

	while (read(c->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		if (si.ssi_signo != SIGHUP)
			return (int)si.ssi_signo;
	return 0;
}

static void
control_run(struct control *c)
{
	struct pollfd p = {.fd = c->signal_fd, .events = POLLIN};
	int64_t now;
	int sig;

	c->next_housekeeping =
	    clock_mono(clock_system()) + HOUSEKEEP_MS * NS_PER_MS;
	for (;;) {
		if (poll(&p, 1, TICK_MS) < 0 && errno != EINTR)
			break;
		sig = control_signal(c);
		if (sig != 0) {
			log_info("stopping", LFI("signal", sig));
			break;
		}
		now = clock_mono(clock_system());
		control_watch_store(c, now);
		control_housekeep(c, now);
		control_watch_budgets(c, now);
		control_count(c);
	}
}

/* ---- stopping ---- */

/* From here a second signal, or the deadline, ends the process at once; the
 * kernel then tells an embedded server to shut down. */
static void
control_deadline(const struct control *c)
{
	sigset_t set;

	signal(SIGALRM, SIG_DFL);
	alarm((unsigned)((c->o->stop_ms + 999) / 1000));
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void
control_stop(struct control *c)
{
	control_deadline(c);
	if (c->rest != NULL)
		rest_drain(c->rest);
	rest_stop(c->rest);
	reconcile_stop(c->reconcile);
	fleet_free(c->fleet);
	pki_free(c->pki);
	boot_close(&c->boot);
	metric_set_free(c->metrics);
	if (c->signal_fd >= 0)
		close(c->signal_fd);
}

static int
control_serve(const struct control_options *o)
{
	struct control c = {.o = o, .signal_fd = -1};
	struct error e = {0};
	int rc;

	rc = control_start(&c, &e);
	if (rc == 0)
		control_run(&c);
	control_stop(&c);
	if (rc != 0)
		return control_fail(&e);
	log_info("stopped");
	return EXIT_SUCCESS;
}

/* ---- sub-commands ---- */

/* For people: a plain line, not a log record. */
static int
control_tool(const struct control_options *o, const char *verb)
{
	struct error e = {0};
	struct boot b = {0};
	int rc;

	signal(SIGPIPE, SIG_IGN);
	rc = boot_open(o, BOOT_TOOL, &b, &e);
	if (rc == 0 && verb != NULL && strcmp(verb, "check") == 0)
		rc = boot_check_books(b.store, &e);
	else if (rc == 0 && verb != NULL)
		rc = boot_admin_token(b.store, o, verb, &e);
	if (rc == 0 && verb == NULL)
		printf("schema version %d\n",
		    schema_migrations[n_schema_migrations - 1].version);
	boot_close(&b);
	if (rc != 0)
		fprintf(stderr, "headgate-control: %s\n", e.text);
	return err_exit_code(rc);
}

static int
control_print(int (*render)(struct buf *out))
{
	struct buf b;
	int rc;

	buf_init(&b, 64 << 20);
	rc = render(&b);
	if (rc == 0 && fwrite(b.data, 1, b.len, stdout) != b.len)
		rc = ERR_IO;
	buf_release(&b);
	if (rc == 0 && fflush(stdout) != 0)
		rc = ERR_IO;
	return err_exit_code(rc);
}

static int
control_render_help(struct buf *out)
{
	return cfg_help(control_table(true), out);
}

static int
control_render_markdown(struct buf *out)
{
	return cfg_markdown(control_table(false), out);
}

static int
control_render_metrics(struct buf *out)
{
	return metric_markdown(control_metrics, CM_COUNT, out);
}

static int
control_command(
    const struct control_options *o, char *const *args, size_t n_args)
{
	const char *cmd = n_args > 0 ? args[0] : "serve";

	if (strcmp(cmd, "serve") == 0 && n_args <= 1)
		return control_serve(o);
	if (strcmp(cmd, "migrate") == 0 && n_args == 1)
		return control_tool(o, NULL);
	if (strcmp(cmd, "check") == 0 && n_args == 1)
		return control_tool(o, "check");
	if (strcmp(cmd, "admin-token") == 0 && n_args == 2 &&
	    strcmp(args[1], "check") != 0)
		return control_tool(o, args[1]);
	if (strcmp(cmd, "openapi") == 0 && n_args == 1)
		return control_print(openapi_render);
	if (strcmp(cmd, "routes") == 0 && n_args == 1)
		return control_print(routes_render);
	fprintf(stderr,
	    "headgate-control: unknown command \"%s\"; see "
	    "--help\n",
	    cmd);
	return err_exit_code(ERR_USAGE);
}

static int
control_logging(const struct control_options *o, struct error *e)
{
	enum log_format format;
	enum log_level level;

	if (log_format_parse(o->log_format, &format) != 0)
		return err_set_field(
		    e, ERR_USAGE, "log-format", "--log-format is json or text");
	if (log_level_parse(o->log_level, &level) != 0)
		return err_set_field(e, ERR_USAGE, "log-level",
		    "--log-level is debug, info, warn or error");
	log_init("headgate-control", level, format);
	return 0;
}

int
main(int argc, char **argv, char **envp)
{
	bool admin = argc > 1 && strcmp(argv[1], "admin-token") == 0;
	const struct cfg_table *table = control_table(admin);
	struct control_options o = {0};
	struct error e = {0};
	size_t n_args = 0;
	char **args;
	int rc;

	if (cfg_wants(argc, argv, "--help") || cfg_wants(argc, argv, "-h"))
		return control_print(control_render_help);
	if (cfg_wants(argc, argv, "--help-markdown"))
		return control_print(control_render_markdown);
	if (cfg_wants(argc, argv, "--metrics-markdown"))
		return control_print(control_render_metrics);
	if (cfg_wants(argc, argv, "--routes-markdown"))
		return control_print(routes_markdown);
	if (cfg_wants(argc, argv, "--version")) {
		puts("headgate-control " HEADGATE_VERSION);
		return EXIT_SUCCESS;
	}
	args = calloc((size_t)argc + 1, sizeof(*args));
	if (args == NULL || sodium_init() < 0)
		return EXIT_FAILURE;
	rc = cfg_parse(table, &o, argc, argv, envp, args, &n_args, &e);
	if (rc == 0)
		rc = control_options_check(&o, &e);
	if (rc == 0)
		rc = control_logging(&o, &e);
	if (rc != 0) {
		fprintf(stderr, "headgate-control: %s\n", e.text);
		rc = err_exit_code(rc);
	} else {
		rc = control_command(&o, args, n_args);
	}
	cfg_release(table, &o);
	free(args);
	return rc;
}
