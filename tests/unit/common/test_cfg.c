/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/cfg: types, bounds, precedence of the four sources, messages that
 * name the option, secrets that stay secret, help and manual.
 */
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cfg.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

struct conf {
	const char *listen;
	const char *region;
	const char *master_key;
	int64_t workers;
	int64_t body;
	int64_t timeout;
	bool strict;
};

#define OPT(name, type, field, ...)                                   \
	{                                                             \
		name, type, offsetof(struct conf, field), __VA_ARGS__ \
	}

static const struct cfg_option options[] = {
    OPT("data-listen", CFG_LISTEN, listen, "127.0.0.1:7410", 0, 0, "HOST:PORT",
	"Where clients connect."),
    OPT("region", CFG_STRING, region, "", 0, 0, "NAME", "Region of the agent."),
    OPT("master-key", CFG_SECRET, master_key, "", 0, 0, "KEY",
	"Key that encrypts secrets at rest."),
    OPT("workers", CFG_INT, workers, "2", 1, 256, "N",
	"Worker threads; a sentence that is long enough to be broken over "
	"more than one line of the terminal | with a bar."),
    OPT("max-body", CFG_BYTES, body, "16MiB", 1024, 1 << 30, "SIZE",
	"Largest request body."),
    OPT("timeout", CFG_DURATION, timeout, "30s", 0, 3600000, "TIME",
	"Time for the first byte."),
    OPT("strict", CFG_BOOL, strict, "", 0, 0, "", "Refuse what is doubtful."),
};

static const struct cfg_table table = {
    .program = "headgate-test",
    .summary = "Tests the options.",
    .usage = "headgate-test [OPTION]...",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
};

static char *rest[32];
static size_t n_rest;
static struct error err;

/* Arguments end with NULL; env and file may be NULL. */
static int
parse(struct conf *c, char **env, char **args)
{
	static char kept[32][4300] = {"prog"}; /* rest points into them */
	char *argv[32] = {kept[0]};
	int argc = 1;

	while (args != NULL && args[argc - 1] != NULL) {
		argv[argc] = kept[argc];
		(void)snprintf(
		    kept[argc], sizeof(kept[0]), "%s", args[argc - 1]);
		argc++;
	}
	memset(c, 0, sizeof(*c));
	memset(&err, 0, sizeof(err));
	return cfg_parse(&table, c, argc, argv, env, rest, &n_rest, &err);
}

#define ARGS(...) ((char *[]){__VA_ARGS__, NULL})
#define Z(lit)	  ((char[]){lit})

static void
assert_failed(
    struct conf *c, int rc, int code, const char *field, const char *part)
{
	ck_assert_msg(rc == code, "%d: %s", rc, err.text);
	ck_assert_int_eq(err.code, code);
	ck_assert_str_eq(err.field, field);
	ck_assert_msg(strstr(err.text, part) != NULL, "\"%s\" lacks \"%s\"",
	    err.text, part);
	ck_assert_ptr_null(c->listen);
	ck_assert_ptr_null(c->region);
	ck_assert_ptr_null(c->master_key);
}

static const char *
temp_file(const char *text)
{
	static char path[4][4096];
	static unsigned turn;
	char *p = path[turn++ % 4];
	int fd;

	(void)snprintf(p, sizeof(path[0]), "%s/cfg-XXXXXX",
	    getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	fd = mkstemp(p);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return p;
}

START_TEST(test_defaults)
{
	struct conf c;

	ck_assert_int_eq(parse(&c, NULL, NULL), 0);
	ck_assert_str_eq(c.listen, "127.0.0.1:7410");
	ck_assert_str_eq(c.region, "");
	ck_assert_str_eq(c.master_key, "");
	ck_assert_int_eq(c.workers, 2);
	ck_assert_int_eq(c.body, 16 << 20);
	ck_assert_int_eq(c.timeout, 30000);
	ck_assert(!c.strict);
	ck_assert_uint_eq(n_rest, 0);
	cfg_release(&table, &c);
	ck_assert_ptr_null(c.listen);
	cfg_release(&table, &c);
}
END_TEST

START_TEST(test_flags)
{
	struct conf c;

	ck_assert_int_eq(
	    parse(&c, NULL,
		ARGS(Z("first"), Z("--region"), Z("eu"), Z("--workers=7"),
		    Z("--strict"), Z("-"), Z("--timeout=250ms"),
		    Z("--max-body"), Z("16KiB"), Z("--"), Z("--region"))),
	    0);
	ck_assert_str_eq(c.region, "eu");
	ck_assert_int_eq(c.workers, 7);
	ck_assert(c.strict);
	ck_assert_int_eq(c.timeout, 250);
	ck_assert_int_eq(c.body, 16384);
	ck_assert_uint_eq(n_rest, 3);
	ck_assert_str_eq(rest[0], "first");
	ck_assert_str_eq(rest[1], "-");
	ck_assert_str_eq(rest[2], "--region");
	cfg_release(&table, &c);
	/* The last one wins; "=" may hold anything, also nothing. */
	ck_assert_int_eq(
	    parse(&c, NULL,
		ARGS(Z("--region=a"), Z("--region=b=c"), Z("--strict"),
		    Z("--strict=no"), Z("--data-listen="))),
	    0);
	ck_assert_str_eq(c.region, "b=c");
	ck_assert(!c.strict);
	ck_assert_str_eq(c.listen, "");
	cfg_release(&table, &c);
}
END_TEST

START_TEST(test_precedence)
{
	const char *path = temp_file("# all three\r\n"
				     "region = from-file\r\n"
				     "  workers=3\n"
				     "\n"
				     "strict = yes\n"
				     "timeout = 1h");
	char flag[4200], env_config[4200];
	char *env[] = {Z("HEADGATE_REGION=from-env"), Z("OTHER=x"),
	    Z("HEADGATE_TIMEOUT="), Z("HEADGATE_WORKERSX=9"), env_config, NULL};
	struct conf c;

	(void)snprintf(flag, sizeof(flag), "--config=%s", path);
	(void)snprintf(
	    env_config, sizeof(env_config), "HEADGATE_CONFIG=%s", path);
	ck_assert_int_eq(parse(&c, NULL, ARGS(flag)), 0);
	ck_assert_str_eq(c.region, "from-file");
	ck_assert_int_eq(c.workers, 3);
	ck_assert_int_eq(c.timeout, 3600000);
	ck_assert(c.strict);
	cfg_release(&table, &c);
	ck_assert_int_eq(parse(&c, env, NULL), 0);
	ck_assert_str_eq(c.region, "from-env");
	ck_assert_int_eq(c.workers, 3);
	ck_assert_int_eq(c.timeout, 3600000);
	cfg_release(&table, &c);
	ck_assert_int_eq(
	    parse(&c, env, ARGS(Z("--region=from-flag"), flag)), 0);
	ck_assert_str_eq(c.region, "from-flag");
	cfg_release(&table, &c);
	/* --config wins over HEADGATE_CONFIG; "" means none. */
	ck_assert_int_eq(parse(&c, env, ARGS(Z("--config="))), 0);
	ck_assert_int_eq(c.workers, 2);
	cfg_release(&table, &c);
	unlink(path);
}
END_TEST

START_TEST(test_flag_errors)
{
	struct conf c;

	assert_failed(&c, parse(&c, NULL, ARGS(Z("--nope"), Z("x"))), ERR_USAGE,
	    "", "unknown option --nope");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("-x"))), ERR_USAGE, "", "-x");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--region"))), ERR_USAGE,
	    "region", "--region needs a value");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--config"))), ERR_USAGE,
	    "config", "needs a value");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--region-file=x"))),
	    ERR_USAGE, "", "unknown option");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--workers=0"))), ERR_INVALID,
	    "workers", "flag --workers: workers must be between 1 and 256");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--workers=x\ny"))),
	    ERR_INVALID, "workers", "expected a whole number, got \"x?y\"");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--max-body=1"))), ERR_INVALID,
	    "max-body", "between 1KiB and 1GiB");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--timeout=2h"))), ERR_INVALID,
	    "timeout", "between 0 and 1h");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--region=a\nb"))),
	    ERR_INVALID, "region", "control characters");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--region=\xff"))),
	    ERR_INVALID, "region", "region");
	assert_failed(&c,
	    parse(&c, NULL, ARGS(Z("--region=x"), Z("--strict=maybe"))),
	    ERR_INVALID, "strict", "true or false");
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--config=/none/such"))),
	    ERR_NOT_FOUND, "", "configuration file: cannot open /none/such");
}
END_TEST

START_TEST(test_env_errors)
{
	char *env[] = {Z("HEADGATE_WORKERS=many"), NULL};
	struct conf c;

	/* Reported although a flag would hide it. */
	assert_failed(&c, parse(&c, env, ARGS(Z("--workers=2"))), ERR_INVALID,
	    "workers", "environment HEADGATE_WORKERS: workers: expected");
}
END_TEST

START_TEST(test_file_errors)
{
	static const struct {
		const char *text, *field, *part;
	} cases[] = {
	    {"\n\nworkers = x\n", "workers", "f:3: workers: expected"},
	    {"workers\n", "", "f:1: expected \"name = value\""},
	    {"nope = 1\n", "", "f:1: unknown option \"nope\""},
	    {"workers = 1\n# c\nworkers = 2\n", "workers", "f:3: workers is"},
	    {"config = x\n", "", "unknown option"},
	    {"= 1\n", "", "unknown option \"\""},
	    {"region = \xc0\x80\n", "", "not a UTF-8 text"},
	    {"region = a\x01\n", "region", "control"},
	    {"\xef\xbb\xbfregion = a\n", "", "unknown option"},
	    {"master-key = a\nmaster-key-file = b\n", "master-key", "twice"},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf c = {0};

		memset(&err, 0, sizeof(err));
		ck_assert_int_eq(cfg_parse_text(&table, &c,
				     str_of(cases[i].text), "f", &err),
		    ERR_INVALID);
		ck_assert_str_eq(err.field, cases[i].field);
		ck_assert_msg(strstr(err.text, cases[i].part) != NULL,
		    "\"%s\" lacks \"%s\"", err.text, cases[i].part);
		cfg_release(&table, &c);
	}
}
END_TEST

START_TEST(test_secret)
{
	const char *path = temp_file("s3cret-canary\r\n");
	const char *bad = temp_file("s3cret\n-canary\n");
	const char *none = temp_file("");
	char flag[4200], env_file[4200];
	char *env[] = {env_file, NULL};
	struct conf c;
	struct buf b;

	(void)snprintf(flag, sizeof(flag), "--master-key-file=%s", path);
	ck_assert_int_eq(parse(&c, NULL, ARGS(flag)), 0);
	ck_assert_str_eq(c.master_key, "s3cret-canary");
	cfg_release(&table, &c);
	(void)snprintf(
	    env_file, sizeof(env_file), "HEADGATE_MASTER_KEY_FILE=%s", path);
	ck_assert_int_eq(parse(&c, env, NULL), 0);
	ck_assert_str_eq(c.master_key, "s3cret-canary");
	cfg_release(&table, &c);
	(void)snprintf(flag, sizeof(flag), "--master-key-file=%s", none);
	ck_assert_int_eq(parse(&c, NULL, ARGS(flag)), 0);
	ck_assert_str_eq(c.master_key, "");
	cfg_release(&table, &c);
	(void)snprintf(flag, sizeof(flag), "--master-key-file=%s", bad);
	assert_failed(&c, parse(&c, NULL, ARGS(flag)), ERR_INVALID,
	    "master-key", "master-key");
	ck_assert_ptr_null(strstr(err.text, "canary"));
	assert_failed(&c, parse(&c, NULL, ARGS(Z("--master-key=canary\x01"))),
	    ERR_INVALID, "master-key", "master-key");
	ck_assert_ptr_null(strstr(err.text, "canary"));
	assert_failed(&c,
	    parse(&c, NULL, ARGS(Z("--master-key-file=/none/such"))),
	    ERR_NOT_FOUND, "master-key", "cannot open /none/such");
	buf_init(&b, 100000);
	ck_assert_int_eq(cfg_help(&table, &b), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "--master-key-file"));
	buf_release(&b);
	unlink(path);
	unlink(bad);
	unlink(none);
}
END_TEST

START_TEST(test_units)
{
	static const struct {
		const char *flag;
		int64_t body, timeout;
	} good[] = {
	    {"--max-body=1024", 1024, 30000},
	    {"--max-body=1024B", 1024, 30000},
	    {"--max-body=1MiB", 1 << 20, 30000},
	    {"--max-body=1GiB", 1 << 30, 30000},
	    {"--timeout=0", 16 << 20, 0},
	    {"--timeout=2m", 16 << 20, 120000},
	    {"--timeout=1s", 16 << 20, 1000},
	};
	static const char *const bad[] = {"--max-body=1kb", "--max-body=1 KiB",
	    "--max-body=KiB", "--max-body=-1", "--max-body=1.5KiB",
	    "--max-body=9999999999999TiB", "--max-body=", "--timeout=5",
	    "--timeout=5S", "--timeout=ms", "--timeout=1h30m",
	    "--timeout=106751991168d", "--timeout=-1s"};
	struct conf c;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char flag[64];

		(void)snprintf(flag, sizeof(flag), "%s", good[i].flag);
		ck_assert_int_eq(parse(&c, NULL, ARGS(flag)), 0);
		ck_assert_int_eq(c.body, good[i].body);
		ck_assert_int_eq(c.timeout, good[i].timeout);
		cfg_release(&table, &c);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char flag[64];

		(void)snprintf(flag, sizeof(flag), "%s", bad[i]);
		ck_assert_msg(
		    parse(&c, NULL, ARGS(flag)) == ERR_INVALID, "%s", bad[i]);
	}
}
END_TEST

START_TEST(test_listen)
{
	static const char *const bad[] = {"7410", ":7410", "host",
	    "host:", "host:x", "host:65536", "host:-1", "host:+1", "ho st:1",
	    "[::1]", "[::1:80", "::1:80", "[]:80", "[host]:80", "a/b:1",
	    "host:000001", "user@host:1", "host:80:90"};
	static const char *const good[] = {"localhost:0", "0.0.0.0:7410",
	    "[::]:65535", "[fe80::1%eth0]:1", "a_b-c.example:80"};
	struct str host;
	uint16_t port;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!cfg_listen_split(str_of(bad[i]), &host, &port),
		    "%s", bad[i]);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(cfg_listen_split(str_of(good[i]), &host, &port),
		    "%s", good[i]);
	ck_assert(cfg_listen_split(STR("[::1]:7410"), &host, &port));
	ck_assert_slice_eq(host, "::1");
	ck_assert_uint_eq(port, 7410);
	ck_assert(!cfg_listen_split(STR_NULL, &host, &port));
}
END_TEST

START_TEST(test_wants)
{
	static char a[] = "--help", b[] = "--", p[] = "prog";
	char *yes[] = {p, a};
	char *no[] = {p, b, a};

	ck_assert(cfg_wants(2, yes, "--help"));
	ck_assert(!cfg_wants(3, no, "--help"));
	ck_assert(!cfg_wants(2, yes, "--version"));
	ck_assert(!cfg_wants(0, NULL, "--help"));
}
END_TEST

START_TEST(test_help)
{
	struct str text, row;
	struct buf b;
	bool more = true;
	size_t i;

	buf_init(&b, 100000);
	ck_assert_int_eq(cfg_help(&table, &b), 0);
	for (i = 0; i < table.n_options; i++)
		ck_assert_ptr_nonnull(
		    strstr(buf_cstr(&b), table.options[i].name));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "Range: 1 to 256."));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "Default: 16MiB."));
	text = buf_str(&b);
	while (more) {
		more = str_cut(text, '\n', &row, &text);
		ck_assert_msg(row.len < 80, "too wide: %.*s", STR_ARG(row));
	}
	buf_clear(&b);
	ck_assert_int_eq(cfg_markdown(&table, &b), 0);
	ck_assert_ptr_nonnull(
	    strstr(buf_cstr(&b), "| `--data-listen` | `HEADGATE_DATA_LISTEN`"));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "\\| with a bar"));
	buf_release(&b);
	buf_init(&b, 50);
	ck_assert_int_eq(cfg_help(&table, &b), ERR_TOO_LARGE);
	buf_clear(&b);
	ck_assert_int_eq(cfg_markdown(&table, &b), ERR_TOO_LARGE);
	buf_release(&b);
}
END_TEST

START_TEST(test_oom)
{
	const char *file = temp_file("region = x\nworkers = 4\n");
	const char *key = temp_file("k\n");
	char config[4200], master[4200];

	(void)snprintf(config, sizeof(config), "--config=%s", file);
	(void)snprintf(master, sizeof(master), "--master-key-file=%s", key);
	EACH_OOM
	{
		struct conf c;
		int rc = parse(&c, NULL, ARGS(config, master, Z("--region=y")));

		if (oom_hit()) {
			assert_failed(&c, rc, ERR_NOMEM, err.field, "memory");
		} else {
			ck_assert_int_eq(rc, 0);
			ck_assert_str_eq(c.region, "y");
			ck_assert_str_eq(c.master_key, "k");
			cfg_release(&table, &c);
		}
	}
	ck_assert_uint_ge(oom_failures(), 6);
	EACH_OOM
	{
		struct buf b;
		int rc;

		buf_init(&b, 100000);
		rc = cfg_help(&table, &b);
		if (rc == 0)
			rc = cfg_markdown(&table, &b);
		ck_assert_int_eq(rc, oom_hit() ? ERR_NOMEM : 0);
		buf_release(&b);
	}
	unlink(file);
	unlink(key);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/cfg");

	UNIT_ADD(s, test_defaults);
	UNIT_ADD(s, test_flags);
	UNIT_ADD(s, test_precedence);
	UNIT_ADD(s, test_flag_errors);
	UNIT_ADD(s, test_env_errors);
	UNIT_ADD(s, test_file_errors);
	UNIT_ADD(s, test_secret);
	UNIT_ADD(s, test_units);
	UNIT_ADD(s, test_listen);
	UNIT_ADD(s, test_wants);
	UNIT_ADD(s, test_help);
	UNIT_ADD(s, test_oom);
	return unit_run(s);
}
