/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate-load: load for benchmarks. Sends one prepared request over and
 * over, and prints what came back as one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/bench/load/load.h"

static const char usage[] =
    "usage: headgate-load [OPTION]... URL [URL]\n"
    "Sends requests to http://ADDRESS:PORT/PATH; prints results as JSON.\n"
    "With two URLs they take turns, request by request (paired latency).\n\n"
    "  -c, --connections N   for each URL (16)\n"
    "  -r, --rate R          open loop: R requests a second in all; without\n"
    "                        it a closed loop\n"
    "  -d, --duration S      seconds measured (5)\n"
    "  -w, --warmup S        seconds before that (1)\n"
    "  -n, --requests N      stop after N requests\n"
    "  -b, --body TEXT       request body (POST); @FILE reads a file\n"
    "  -H, --header LINE     'Name: value'; prefix '1=' or '2=' for one URL\n"
    "  -s, --sse             answers are event streams: count events, gaps\n"
    "  -t, --timeout S       of one request (30)\n"
    "  -h, --help\n";

struct main_options {
	struct load_options o;
	const char *headers[32];
	int n_headers;
	struct buf body;
};

static int
main_read_body(struct buf *b, const char *arg, struct error *e)
{
	char part[4096];
	size_t n;
	FILE *f;

	if (arg[0] != '@')
		return buf_addz(b, arg);
	f = fopen(arg + 1, "re");
	if (f == NULL)
		return err_set(e, ERR_IO, "%s: %s", arg + 1, strerror(errno));
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		(void)buf_add(b, part, n);
	(void)fclose(f);
	return buf_error(b);
}

static int
main_target(struct load_target *t, const char *url, int index,
    const struct main_options *m, struct error *e)
{
	struct str rest = str_of(url), host, port;
	uint64_t number;
	char address[64];

	if (!str_starts(rest, STR("http://")))
		return err_set(e, ERR_USAGE, "not http://: %s", url);
	rest = str_make(rest.p + 7, rest.len - 7);
	(void)str_cut(rest, '/', &host, &rest);
	t->name = url;
	t->addr.sin_family = AF_INET;
	buf_init(&t->request, 64 * 1024 * 1024);
	buf_addf(&t->request, "%s /%.*s HTTP/1.1\r\nhost: %.*s\r\n",
	    m->body.len > 0 ? "POST" : "GET", STR_ARG(rest), STR_ARG(host));
	if (!str_cut(host, ':', &host, &port) ||
	    str_to_u64(port, &number) != 0 || number > UINT16_MAX ||
	    str_copy(host, address, sizeof(address)) != 0 ||
	    inet_pton(AF_INET, address, &t->addr.sin_addr) != 1)
		return err_set(e, ERR_USAGE, "not ADDRESS:PORT: %s", url);
	t->addr.sin_port = htons((uint16_t)number);
	for (int i = 0; i < m->n_headers; i++) {
		const char *h = m->headers[i];

		if ((h[0] == '1' || h[0] == '2') && h[1] == '=') {
			if (h[0] - '1' != index)
				continue;
			h += 2;
		}
		buf_addf(&t->request, "%s\r\n", h);
	}
	if (m->body.len > 0)
		buf_addf(&t->request,
		    "content-type: application/json\r\n"
		    "content-length: %zu\r\n\r\n",
		    m->body.len);
	else
		buf_addz(&t->request, "\r\n");
	buf_add_str(&t->request, buf_str(&m->body));
	return buf_error(&t->request);
}

static void
main_quantiles(const char *name, const struct hist *h, struct buf *out)
{
	buf_addf(out,
	    ",\"%s_us\":{\"n\":%llu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,"
	    "\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}",
	    name, (unsigned long long)h->n,
	    h->n > 0 ? (double)h->sum / (double)h->n / 1e3 : 0.0,
	    (double)hist_quantile(h, 0.5) / 1e3,
	    (double)hist_quantile(h, 0.9) / 1e3,
	    (double)hist_quantile(h, 0.99) / 1e3,
	    (double)hist_quantile(h, 0.999) / 1e3, (double)h->max / 1e3);
}

static void
main_report(const struct load_target *t, double seconds, struct buf *out)
{
	bool first = true;

	buf_addz(out, "{\"url\":");
	buf_add_json(out, str_of(t->name));
	buf_addf(out,
	    ",\"requests\":%llu,\"errors\":%llu,\"requests_per_s\":%.1f,"
	    "\"events\":%llu,\"events_per_s\":%.1f,\"bytes\":%llu,"
	    "\"incomplete\":%llu,\"connect_errors\":%llu,"
	    "\"closed_early\":%llu,\"bad_answers\":%llu,\"by_status\":{",
	    (unsigned long long)t->requests, (unsigned long long)t->errors,
	    (double)t->requests / seconds, (unsigned long long)t->events,
	    (double)t->events / seconds, (unsigned long long)t->bytes,
	    (unsigned long long)t->incomplete,
	    (unsigned long long)t->connect_errors,
	    (unsigned long long)t->closed_early,
	    (unsigned long long)t->bad_answers);
	for (int i = 0; i < 600; i++) {
		if (t->by_status[i] == 0)
			continue;
		buf_addf(out, "%s\"%d\":%llu", first ? "" : ",", i,
		    (unsigned long long)t->by_status[i]);
		first = false;
	}
	buf_addc(out, '}');
	main_quantiles("latency", &t->latency, out);
	main_quantiles("first_byte", &t->first_byte, out);
	main_quantiles("gap", &t->gap, out);
	buf_addc(out, '}');
}

static int
main_option(struct main_options *m, int opt, struct error *e)
{
	switch (opt) {
	case 'c':
		m->o.connections = (int)strtol(optarg, NULL, 10);
		return 0;
	case 'r':
		m->o.rate = strtod(optarg, NULL);
		return 0;
	case 'd':
		m->o.duration = strtod(optarg, NULL);
		return 0;
	case 'w':
		m->o.warmup = strtod(optarg, NULL);
		return 0;
	case 'n':
		m->o.max_requests = strtoull(optarg, NULL, 10);
		return 0;
	case 'b':
		return main_read_body(&m->body, optarg, e);
	case 'H':
		if (m->n_headers < 32)
			m->headers[m->n_headers++] = optarg;
		return 0;
	case 's':
		m->o.sse = true;
		return 0;
	case 't':
		m->o.timeout_ns = (int64_t)(strtod(optarg, NULL) * 1e9);
		return 0;
	default:
		return err_set(e, ERR_USAGE, "try --help");
	}
}

static int
main_parse(int argc, char **argv, struct main_options *m, struct error *e)
{
	static const struct option longs[] = {
	    {"connections", required_argument, NULL, 'c'},
	    {"rate", required_argument, NULL, 'r'},
	    {"duration", required_argument, NULL, 'd'},
	    {"warmup", required_argument, NULL, 'w'},
	    {"requests", required_argument, NULL, 'n'},
	    {"body", required_argument, NULL, 'b'},
	    {"header", required_argument, NULL, 'H'},
	    {"sse", no_argument, NULL, 's'},
	    {"timeout", required_argument, NULL, 't'},
	    {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int opt, rc;

	while ((opt = getopt_long(
		    argc, argv, "c:r:d:w:n:b:H:st:h", longs, NULL)) != -1) {
		if (opt == 'h') {
			(void)fputs(usage, stdout);
			exit(0);
		}
		rc = main_option(m, opt, e);
		if (rc != 0)
			return rc;
	}
	m->o.n_targets = argc - optind;
	if (m->o.n_targets < 1 || m->o.n_targets > LOAD_MAX_TARGETS ||
	    m->o.connections < 1 || m->o.duration <= 0)
		return err_set(e, ERR_USAGE, "try --help");
	return 0;
}

int
main(int argc, char **argv)
{
	static struct load_target targets[LOAD_MAX_TARGETS];
	struct main_options m = {.o = {.connections = 16,
				     .duration = 5,
				     .warmup = 1,
				     .timeout_ns = 30000000000LL}};
	struct rlimit files = {1048576, 1048576};
	struct error e = {0};
	struct buf out;
	double seconds = 0;
	int rc;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	buf_init(&m.body, 64 * 1024 * 1024);
	buf_init(&out, 1024 * 1024);
	rc = main_parse(argc, argv, &m, &e);
	for (int i = 0; i < m.o.n_targets && rc == 0; i++)
		rc = main_target(&targets[i], argv[optind + i], i, &m, &e);
	if (rc == 0)
		rc = load_run(targets, &m.o, &seconds, &e);
	if (rc != 0) {
		(void)fprintf(stderr, "headgate-load: %s\n",
		    e.text[0] != '\0' ? e.text : err_text(rc));
		goto out;
	}
	buf_addf(&out, "{\"seconds\":%.3f,\"targets\":[", seconds);
	for (int i = 0; i < m.o.n_targets; i++) {
		if (i > 0)
			buf_addc(&out, ',');
		main_report(&targets[i], seconds, &out);
	}
	buf_addz(&out, "]}");
	(void)puts(buf_cstr(&out));
out:
	for (int i = 0; i < LOAD_MAX_TARGETS; i++)
		buf_release(&targets[i].request);
	buf_release(&m.body);
	buf_release(&out);
	return rc == 0 ? 0 : err_exit_code(rc);
}
