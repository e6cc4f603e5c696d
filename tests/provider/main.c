/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate-provider: a simulator of an OpenAI-compatible model provider that
 * keeps the oracle bill. For tests, the demo and benchmarks only.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <unistd.h>

#include "tests/provider/conn.h"
#include "tests/provider/scenario.h"
#include "tests/provider/store.h"
#include "tests/provider/text.h"

static const char usage[] =
    "usage: headgate-provider [OPTION]...\n"
    "Simulates model providers, each by its paths, and keeps their bill.\n\n"
    "  --listen HOST:PORT   address (127.0.0.1:7420; port 0: any free one)\n"
    "  --tls-listen HOST:PORT  the same with TLS; needs both files\n"
    "  --tls-cert FILE      certificates, PEM\n"
    "  --tls-key FILE       their key, PEM\n"
    "  --tls-client-ca FILE clients must show a certificate of these\n"
    "  --models FILE        models, prices and knobs as JSON\n"
    "  --record FILE        append every billed request; read back at start\n"
    "  --api-key KEY        accept this bearer key only (may be repeated)\n"
    "  --canary TEXT        count TEXT in a request as a leak (repeatable)\n"
    "  --keep-last N        keep the last N requests for /sim/last (64)\n"
    "  --threads N          loops (2)\n"
    "  --seed N             of everything that looks random (1)\n"
    "  --totals-only        keep no bill rows in memory (benchmarks)\n"
    "  --scenario FILE      knobs for requests in order, see README\n"
    "  --ports-file FILE    write http=PORT (and https=) there\n"
    "  --help\n\n"
    "Steering: request headers x-sim-NAME, members of \"x_sim\" in the body,\n"
    "or \"knobs\" of a model. Control: GET /sim/bill, /sim/stats, /sim/last;\n"
    "POST /sim/reset, /sim/tls. See tests/provider/README.md.\n";

static const char *ports_file;
static struct sim sim;

static void
main_on_signal(int sig)
{
	(void)sig;
	atomic_store(&sim.stop, 1);
}

static void
main_on_ready(const struct loop_place *plain, const struct loop_place *tls)
{
	char tmp[4096];
	FILE *f;

	(void)fprintf(stderr, "headgate-provider: listening on port %u\n",
	    (unsigned)plain->port);
	if (ports_file == NULL)
		return;
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", ports_file);
	f = fopen(tmp, "we");
	if (f == NULL) {
		(void)fprintf(stderr, "headgate-provider: ERROR: %s: %s\n", tmp,
		    strerror(errno));
		return;
	}
	(void)fprintf(f, "http=%u\n", (unsigned)plain->port);
	if (tls != NULL)
		(void)fprintf(f, "https=%u\n", (unsigned)tls->port);
	(void)fclose(f);
	(void)rename(tmp, ports_file);
}

struct main_options {
	const char *listen, *models, *record, *scenario;
	const char *tls_listen, *tls_cert, *tls_key, *tls_client_ca;
	int threads;
	bool totals_only;
};

static void
main_push(const char **list, int *n)
{
	if (*n < SIM_MAX_LIST)
		list[(*n)++] = optarg;
}

/* 0, or the exit status + 1. */
static int
main_parse(int argc, char **argv, struct main_options *o)
{
	static const struct option longs[] = {
	    {"listen", required_argument, NULL, 'l'},
	    {"models", required_argument, NULL, 'm'},
	    {"record", required_argument, NULL, 'r'},
	    {"api-key", required_argument, NULL, 'k'},
	    {"canary", required_argument, NULL, 'c'},
	    {"keep-last", required_argument, NULL, 'L'},
	    {"threads", required_argument, NULL, 't'},
	    {"seed", required_argument, NULL, 's'},
	    {"totals-only", no_argument, NULL, 'T'},
	    {"ports-file", required_argument, NULL, 'p'},
	    {"scenario", required_argument, NULL, 'S'},
	    {"tls-listen", required_argument, NULL, 1},
	    {"tls-cert", required_argument, NULL, 2},
	    {"tls-key", required_argument, NULL, 3},
	    {"tls-client-ca", required_argument, NULL, 4},
	    {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char **const tls[] = {
	    &o->tls_listen, &o->tls_cert, &o->tls_key, &o->tls_client_ca};
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 1:
		case 2:
		case 3:
		case 4:
			*tls[opt - 1] = optarg;
			break;
		case 'l':
			o->listen = optarg;
			break;
		case 'm':
			o->models = optarg;
			break;
		case 'r':
			o->record = optarg;
			break;
		case 'k':
			main_push(sim.api_keys, &sim.n_api_keys);
			break;
		case 'c':
			main_push(sim.canaries, &sim.n_canaries);
			break;
		case 'L':
			sim.keep_last = (int)strtol(optarg, NULL, 10);
			break;
		case 't':
			o->threads = (int)strtol(optarg, NULL, 10);
			break;
		case 's':
			sim.seed = strtoull(optarg, NULL, 10);
			break;
		case 'T':
			o->totals_only = true;
			break;
		case 'p':
			ports_file = optarg;
			break;
		case 'S':
			o->scenario = optarg;
			break;
		case 'h':
			(void)fputs(usage, stdout);
			return 1;
		default:
			(void)fputs(usage, stderr);
			return 3;
		}
	}
	if (o->threads < 1 || o->threads > 64 || sim.keep_last < 0 ||
	    sim.keep_last > 100000)
		return 3;
	return 0;
}

static int
main_place(const char *option, const char *text, struct loop_place *at,
    struct error *e)
{
	struct str host, port;
	uint64_t number;

	if (!str_cut(str_of(text), ':', &host, &port) ||
	    str_copy(host, at->host, sizeof(at->host)) != 0 ||
	    str_to_u64(port, &number) != 0 || number > UINT16_MAX)
		return err_set(e, ERR_USAGE, "%s: not HOST:PORT", option);
	at->port = (uint16_t)number;
	return 0;
}

static int
main_tls(const struct main_options *o, struct loop_place *at, struct error *e)
{
	int rc;

	if (o->tls_listen == NULL && o->tls_cert == NULL && o->tls_key == NULL)
		return 0;
	if (o->tls_cert == NULL || o->tls_key == NULL)
		return err_set(
		    e, ERR_USAGE, "TLS needs both --tls-cert and --tls-key");
	rc = main_place("--tls-listen",
	    o->tls_listen != NULL ? o->tls_listen : "127.0.0.1:0", at, e);
	if (rc != 0)
		return rc;
	return tls_server_new(
	    o->tls_cert, o->tls_key, o->tls_client_ca, &sim.tls, e);
}

static int
main_run(const struct main_options *o, struct error *e)
{
	struct loop_place plain = {0}, tls = {0};
	int rc = main_place("--listen", o->listen, &plain, e);

	if (rc == 0)
		rc = main_tls(o, &tls, e);
	if (rc != 0)
		return rc;
	catalog_default(&sim.catalog);
	if (o->models != NULL) {
		rc = catalog_load(&sim.catalog, &sim.options, o->models, e);
		if (rc != 0)
			return rc;
	}
	sim.scenario = scenario_new();
	sim.store = store_new();
	MUST(sim.scenario != NULL && sim.store != NULL);
	if (o->scenario != NULL) {
		rc = scenario_load_file(sim.scenario, o->scenario, e);
		if (rc != 0)
			return rc;
	}
	rc = bill_new(&sim.catalog, o->record, !o->totals_only, &sim.bill, e);
	if (rc != 0)
		return rc;
	if (sim.keep_last > 0) {
		sim.seen = calloc((size_t)sim.keep_last, sizeof(*sim.seen));
		MUST(sim.seen != NULL);
	}
	rc = loops_run(&sim, &plain, &tls, o->threads, main_on_ready, e);
	tls_server_free(sim.tls);
	bill_free(sim.bill);
	scenario_free(sim.scenario);
	store_free(sim.store);
	for (int i = 0; i < sim.keep_last && sim.seen != NULL; i++) {
		free(sim.seen[i].head);
		free(sim.seen[i].body);
	}
	free(sim.seen);
	return rc;
}

int
main(int argc, char **argv)
{
	struct main_options o = {.listen = "127.0.0.1:7420", .threads = 2};
	struct sigaction sa = {.sa_handler = main_on_signal};
	struct error e = {0};
	int rc;

	sim.seed = 1;
	sim.keep_last = 64;
	pthread_mutex_init(&sim.seen_lock, NULL);
	rc = main_parse(argc, argv, &o);
	if (rc != 0)
		return rc - 1;
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	text_init();
	MUST(sodium_init() >= 0);
	rc = main_run(&o, &e);
	if (rc != 0) {
		(void)fprintf(stderr, "headgate-provider: ERROR: %s\n", e.text);
		return err_exit_code(e.code);
	}
	return 0;
}
