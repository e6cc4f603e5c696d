/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/config: applying bundles, compiling, rejecting, the encrypted cache,
 * and the running configuration from signed bytes to the workers' mailboxes.
 */
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config/config.h"
#include "tests/unit/agent/config_kit.h"
#include "tests/unit/support/unit.h"

START_TEST(test_compile)
{
	const struct b_key *k;
	const struct b_route *gpt, *another;
	const struct b_deployment *d;
	uint8_t digest[32];
	struct price p;
	struct bench x;
	struct world w;

	world_init(&w);
	bench_init(&x);
	ck_assert_msg(bench_compile(&x, &w) == 0, "%s", x.e.text);
	bundle_take_effect(x.b, x.leases);
	ck_assert_uint_eq(x.b->version, 5);
	world_digest(W_KEY, digest);
	k = bundle_find_key(x.b, digest);
	ck_assert_ptr_nonnull(k);
	ck_assert_uint_eq(k->uid, W_KEY);
	ck_assert_uint_eq(k->project_uid, W_PROJECT);
	ck_assert_uint_eq(k->team_uid, W_TEAM);
	ck_assert_uint_eq(k->tenant_uid, W_TENANT);
	ck_assert(!k->disabled && k->has_hard_budget);
	ck_assert_uint_eq(k->n_budgets, 2);
	ck_assert_uint_eq(k->budgets[0]->uid, W_BUDGET);
	ck_assert(!k->budgets[0]->soft && k->budgets[1]->soft);
	ck_assert_int_eq(k->budgets[0]->limit, 5000000000);
	ck_assert_uint_eq(k->n_limits, 1);
	ck_assert_int_eq(k->limits[0]->rpm, 60);
	ck_assert(str_eqz(k->limits[0]->scope, "acme.r.p"));
	digest[5] ^= 1;
	ck_assert_ptr_null(bundle_find_key(x.b, digest));
	gpt = bundle_find_route(x.b, STR("gpt"));
	another = bundle_find_route(x.b, STR("another"));
	ck_assert_ptr_nonnull(gpt);
	ck_assert_ptr_eq(another, &x.b->routes[0]); /* in name order */
	ck_assert_ptr_null(bundle_find_route(x.b, STR("gp")));
	ck_assert(bundle_key_may(k, gpt) && bundle_key_may(k, another));
	d = gpt->targets[0].deployment;
	ck_assert(str_eqz(d->provider->scheme, "https"));
	ck_assert(str_eqz(d->provider->host, "::1"));
	ck_assert_uint_eq(d->provider->port, 8443);
	ck_assert(str_eqz(d->provider->path_prefix, "/base"));
	ck_assert_str_eq(
	    d->provider->auth_header.p, "Authorization: Bearer sk-canary");
	ck_assert_int_eq(d->concurrency->max_conc, 3);
	ck_assert(!b_model_price(d->model, 999, &p));
	ck_assert(b_model_price(d->model, 1500, &p));
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 2500);
	ck_assert(b_model_price(d->model, 2500, &p));
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 3000);
	ck_assert_int_eq(p.per_mtok[TC_CACHE_READ], -1);
	bench_release(&x);
	world_release(&w);
}
END_TEST

START_TEST(test_rights)
{
	const struct b_key *k, *k2;
	const struct b_route *gpt, *another;
	uint8_t digest[32];
	struct bench x;
	struct world w;
	Hg__Item *team, *key;
	char *names[2];

	world_init(&w);
	bench_init(&x);
	names[0] = world_text(&w, "gpt");
	names[1] = world_text(&w, "nowhere");
	team = world_find(&w, KIND(TEAM), W_TEAM);
	team->owner->routes = names;
	team->owner->n_routes = 2;
	key = world_key(&w, W_FREE, "acme.r.p.k2", W_PROJECT);
	key->key->routes = &names[1];
	key->key->n_routes = 1;
	world_key(&w, W_FREE + 1, "acme.r.p.k3", W_PROJECT);
	ck_assert_msg(bench_compile(&x, &w) == 0, "%s", x.e.text);
	gpt = bundle_find_route(x.b, STR("gpt"));
	another = bundle_find_route(x.b, STR("another"));
	world_digest(W_KEY, digest);
	k = bundle_find_key(x.b, digest);
	ck_assert(bundle_key_may(k, gpt) && !bundle_key_may(k, another));
	world_digest(W_FREE + 1, digest);
	k2 = bundle_find_key(x.b, digest);
	ck_assert_ptr_eq(k->routes, k2->routes); /* shared */
	world_digest(W_FREE, digest);
	k2 = bundle_find_key(x.b, digest);
	ck_assert(!bundle_key_may(k2, gpt) && !bundle_key_may(k2, another));
	/* What is disabled above is disabled below. */
	team->owner->disabled = true;
	ck_assert_int_eq(bench_compile(&x, &w), 0);
	world_digest(W_KEY, digest);
	ck_assert(bundle_find_key(x.b, digest)->disabled);
	bench_release(&x);
	world_release(&w);
}
END_TEST

/* ---- rejects
 * ----------------------------------------------------------------------- */

static void
break_provider_gone(struct world *w)
{
	world_drop(w, KIND(PROVIDER), W_PROVIDER);
}
static void
break_model_gone(struct world *w)
{
	world_drop(w, KIND(MODEL), W_MODEL);
}
static void
break_deployment_gone(struct world *w)
{
	world_drop(w, KIND(DEPLOYMENT), W_DEPLOYMENT);
}
static void
break_project_gone(struct world *w)
{
	world_drop(w, KIND(PROJECT), W_PROJECT);
}
static void
break_team_gone(struct world *w)
{
	world_drop(w, KIND(TEAM), W_TEAM);
}
static void
break_price_class(struct world *w)
{
	world_find(w, KIND(MODEL), W_MODEL)->model->prices[1]->token_class =
	    TC_COUNT;
}
static void
break_price_period(struct world *w)
{
	world_find(w, KIND(MODEL), W_MODEL)->model->prices[2]->to = 2000;
}
static void
break_negative_price(struct world *w)
{
	world_find(w, KIND(MODEL), W_MODEL)->model->prices[0]->per_mtok = -1;
}
static void
break_url(struct world *w)
{
	world_find(w, KIND(PROVIDER), W_PROVIDER)->provider->base_url =
	    world_text(w, "https://user@host/");
}
static void
break_credential(struct world *w)
{
	world_find(w, KIND(PROVIDER), W_PROVIDER)->provider->credential =
	    world_text(w, "sk\r\nX: y");
}
static void
break_dialect(struct world *w)
{
	world_find(w, KIND(PROVIDER), W_PROVIDER)->provider->dialect =
	    world_text(w, "morse");
}
static void
break_digest(struct world *w)
{
	world_find(w, KIND(KEY), W_KEY)->key->digest.len = 31;
}
static void
break_twin(struct world *w)
{
	Hg__Item *k = world_key(w, W_FREE, "acme.r.p.twin", W_PROJECT);

	world_digest(W_KEY, k->key->digest.data);
}
static void
break_budgets(struct world *w)
{
	for (unsigned i = 0; i < BUNDLE_MAX_BUDGETS; i++)
		world_budget(w, W_FREE + i, "acme.more", KIND(PROJECT),
		    W_PROJECT, false);
}
static void
break_body(struct world *w)
{
	world_find(w, KIND(ROUTE), W_ROUTE)->route = NULL;
}

static const struct {
	void (*make)(struct world *w);
	const char *item, *text;
} rejects[] = {
    {break_provider_gone, "gpt-eu", "provider does not exist"},
    {break_model_gone, "gpt-eu", "model does not exist"},
    {break_deployment_gone, "gpt", "target 0 does not exist"},
    {break_project_gone, "acme.r.p.ci", "project does not exist"},
    {break_team_gone, "acme.r.p", "parent does not exist"},
    {break_price_class, "gpt-m", "price line 1"},
    {break_price_period, "gpt-m", "price line 2"},
    {break_negative_price, "gpt-m", "price line 0"},
    {break_url, "sim", "base_url"},
    {break_credential, "sim", "credential"},
    {break_dialect, "sim", "dialect morse"},
    {break_digest, "acme.r.p.ci", "digest"},
    {break_twin, "acme.r.p.twin", "same digest as acme.r.p.ci"},
    {break_budgets, "acme.r.p", "more than 8 budgets"},
    {break_body, "gpt", "no body"},
};

START_TEST(test_rejects)
{
	for (unsigned i = 0; i < sizeof(rejects) / sizeof(rejects[0]); i++) {
		struct bench x;
		struct world w;

		world_init(&w);
		bench_init(&x);
		rejects[i].make(&w);
		ck_assert_int_eq(bench_compile(&x, &w), ERR_INVALID);
		ck_assert_ptr_null(x.b);
		ck_assert_msg(strcmp(x.why.item, rejects[i].item) == 0,
		    "%u: %s", i, x.why.item);
		ck_assert_msg(strstr(x.e.text, rejects[i].text) != NULL,
		    "%u: %s", i, x.e.text);
		ck_assert_ptr_null(strstr(x.e.text, "canary"));
		bench_release(&x);
		world_release(&w);
	}
}
END_TEST

/* A model without prices is kept; it has none at any time. */
START_TEST(test_unpriced)
{
	static const struct {
		size_t n;
		const char *tier; /* of the line for output */
		int64_t above;
	} rows[] = {{0, "", 0}, {1, "", 0}, {3, "flex", 0}, {3, "", 1000}};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct b_route *r;
		struct price p;
		struct bench x;
		struct world w;
		Hg__Model *m;

		world_init(&w);
		bench_init(&x);
		m = world_find(&w, KIND(MODEL), W_MODEL)->model;
		m->n_prices = rows[i].n;
		m->prices[1]->tier = world_text(&w, rows[i].tier);
		m->prices[1]->above_tokens = rows[i].above;
		ck_assert_msg(bench_compile(&x, &w) == 0, "%s", x.e.text);
		r = bundle_find_route(x.b, STR("gpt"));
		ck_assert_uint_eq(r->n_targets, 1);
		ck_assert(
		    !b_model_price(r->targets[0].deployment->model, 2500, &p));
		bench_release(&x);
		world_release(&w);
	}
}
END_TEST

/* A budget or limit whose scope is gone must not stop a revocation. */
START_TEST(test_dangling_scope)
{
	struct bench x;
	struct world w;

	world_init(&w);
	bench_init(&x);
	world_drop(&w, KIND(KEY), W_KEY);
	ck_assert_int_eq(bench_compile(&x, &w), 0);
	ck_assert_uint_eq(x.b->n_keys, 0);
	bench_release(&x);
	world_release(&w);
}
END_TEST

START_TEST(test_base_url)
{
	static const char *const bad[] = {"", "http://", "ftp://h/",
	    "https://h:0/", "https://h:65536", "https://h:x", "https://:80/",
	    "https://a@b/", "https://h/?q", "https://h/#f", "https://h /",
	    "https://[::1", "https://[::1]x", "https://h\\x/", "//h/",
	    "https://[]/", "HTTPS://h"};
	struct str s, h, p;
	uint16_t port;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(
		    base_url_parse(str_of(bad[i]), &s, &h, &port, &p) != 0,
		    "%s", bad[i]);
	ck_assert_int_eq(base_url_parse(STR("http://h"), &s, &h, &port, &p), 0);
	ck_assert_uint_eq(port, 80);
	ck_assert_uint_eq(p.len, 0);
	ck_assert_int_eq(
	    base_url_parse(STR("https://h.x:81//a/b//"), &s, &h, &port, &p), 0);
	ck_assert_uint_eq(port, 81);
	ck_assert(str_eqz(h, "h.x"));
	ck_assert(str_eqz(p, "//a/b"));
}
END_TEST

/* ---- applying
 * ---------------------------------------------------------------------- */

START_TEST(test_delta)
{
	struct item_state *base, *next = NULL, *snap;
	Hg__ItemRef refs[3];
	struct error e;
	struct world w;
	struct buf b;

	world_init(&w);
	base = world_state(&w);
	for (unsigned i = 0; i < 3; i++)
		hg__item_ref__init(&refs[i]);
	refs[0].kind = KIND(KEY);
	refs[0].uid = W_KEY;
	refs[1].kind = KIND(KEY);
	refs[1].uid = W_FREE;
	refs[2].kind = KIND(BUDGET);
	refs[2].uid = W_BUDGET;
	w.version = 6;
	world_drop(&w, KIND(KEY), W_KEY);		  /* deleted */
	world_key(&w, W_FREE, "acme.r.p.new", W_PROJECT); /* added */
	world_find(&w, KIND(BUDGET), W_BUDGET)->budget->limit = 7;
	buf_init(&b, (size_t)1 << 20);
	world_delta(&w, base, refs, 3, &b);
	ck_assert_msg(
	    items_apply(base, buf_str(&b), &next, &e) == 0, "%s", e.text);
	snap = world_state(&w);
	ck_assert_uint_eq(next->n, snap->n);
	ck_assert_mem_eq(next->hash, snap->hash, STATE_HASH_LEN);
	ck_assert_uint_eq(base->n, next->n); /* untouched */
	/* From another base it is refused, from none as well. */
	ck_assert_int_eq(
	    items_apply(next, buf_str(&b), &snap, &e), ERR_VERSION);
	ck_assert_int_eq(
	    items_apply(NULL, buf_str(&b), &snap, &e), ERR_VERSION);
	items_unref(base);
	items_unref(next);
	items_unref(snap);
	buf_release(&b);
	world_release(&w);
}
END_TEST

/* Every flipped byte is either refused or leads to the very same state. */
START_TEST(test_damaged_bundle)
{
	struct item_state *s, *good;
	struct error e;
	struct world w;
	struct buf b;
	unsigned taken = 0;

	world_init(&w);
	good = world_state(&w);
	buf_init(&b, (size_t)1 << 20);
	world_snapshot(&w, &b);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] = (char)(b.data[i] ^ 0x41);
		s = NULL;
		if (items_apply(NULL, buf_str(&b), &s, &e) == 0) {
			ck_assert_mem_eq(s->hash, good->hash, STATE_HASH_LEN);
			taken++;
		}
		items_unref(s);
		b.data[i] = (char)(b.data[i] ^ 0x41);
	}
	ck_assert_uint_lt(taken, 32); /* group, version, time */
	for (size_t cut = 0; cut < b.len; cut++)
		if (items_apply(NULL, str_make(b.data, cut), &s, &e) == 0)
			ck_abort_msg("cut at %zu was taken", cut);
	items_unref(good);
	buf_release(&b);
	world_release(&w);
}
END_TEST

/* ---- cache
 * ------------------------------------------------------------------------- */

static char dir[PATH_MAX / 2];

static void
dir_make(void)
{
	(void)snprintf(dir, sizeof(dir), "%s/config-XXXXXX",
	    getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static int
dir_drop_one(void *ctx, const char *name)
{
	char path[PATH_MAX];

	(void)ctx;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return remove(path) == 0 ? 0 : ERR_IO;
}

static void
dir_drop(void)
{
	(void)io_system()->list(io_system(), dir, dir_drop_one, NULL);
	(void)rmdir(dir);
}

START_TEST(test_cache)
{
	uint8_t key[DISK_KEY_LEN], again[DISK_KEY_LEN];
	struct io *io = io_system();
	struct item_state *s, *r = NULL;
	struct error e;
	struct world w;
	struct buf b;
	struct stat st;
	char path[PATH_MAX];
	unsigned bad = 0;

	dir_make();
	world_init(&w);
	ck_assert_int_eq(disk_key_get(io, dir, "", rng_system(), key, &e), 0);
	ck_assert_int_eq(disk_key_get(io, dir, "", rng_system(), again, &e), 0);
	ck_assert_mem_eq(key, again, DISK_KEY_LEN);
	(void)snprintf(path, sizeof(path), "%s/disk.key", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(
	    disk_key_get(io, dir, "words", rng_system(), again, &e), 0);
	ck_assert_mem_ne(key, again, DISK_KEY_LEN);

	for (w.version = 5; w.version <= 9; w.version++) {
		s = world_state(&w);
		ck_assert_int_eq(
		    cache_save(io, dir, key, rng_system(), s, &e), 0);
		items_unref(s);
	}
	ck_assert_int_eq(cache_load(io, dir, key, UINT64_MAX, &r, &bad), 0);
	ck_assert_uint_eq(r->version, 9);
	ck_assert_uint_eq(bad, 0);
	items_unref(r);
	ck_assert_int_eq(cache_load(io, dir, key, 9, &r, &bad), 0);
	ck_assert_uint_eq(r->version, 8);
	items_unref(r);
	ck_assert_int_eq(cache_load(io, dir, key, 7, &r, &bad), ERR_NOT_FOUND);
	/* With another key nothing opens; nothing secret is in the clear. */
	ck_assert_int_eq(
	    cache_load(io, dir, again, UINT64_MAX, &r, &bad), ERR_NOT_FOUND);
	ck_assert_uint_eq(bad, 3);
	buf_init(&b, (size_t)1 << 20);
	(void)snprintf(path, sizeof(path), "%s/bundle-9.enc", dir);
	ck_assert_int_eq(io_read_file(io, path, &b, &e), 0);
	ck_assert_ptr_null(memmem(b.data, b.len, "sk-canary", 9));
	/* Any flipped byte is noticed; an older file takes its place. */
	for (size_t i = 0; i < b.len; i += 13) {
		b.data[i] = (char)(b.data[i] ^ 1);
		ck_assert_int_eq(
		    io_write_file_atomic(io, path, b.data, b.len, 0600, &e), 0);
		ck_assert_int_eq(
		    cache_load(io, dir, key, UINT64_MAX, &r, &bad), 0);
		ck_assert_uint_eq(r->version, 8);
		items_unref(r);
		b.data[i] = (char)(b.data[i] ^ 1);
	}
	/* An old file under a newer name is no newer version. */
	(void)snprintf(path, sizeof(path), "%s/bundle-77.enc", dir);
	ck_assert_int_eq(
	    io_write_file_atomic(io, path, b.data, b.len, 0600, &e), 0);
	ck_assert_int_eq(cache_load(io, dir, key, UINT64_MAX, &r, &bad), 0);
	ck_assert_uint_eq(r->version, 8);
	items_unref(r);
	buf_release(&b);
	world_release(&w);
	dir_drop();
}
END_TEST

/* ---- running
 * ----------------------------------------------------------------------- */

struct running {
	struct agent agent;
	struct clock_fake clock;
	struct config *c;
	struct lease_table *leases;
	uint8_t secret[SIGN_SECRET_LEN];
	struct error e;
};

static void
running_start(struct running *r, bool fresh)
{
	struct config_options opt;

	memset(&opt, 0, sizeof(opt));
	if (fresh) {
		memset(r, 0, sizeof(*r));
		sign_keypair(opt.control_key, r->secret);
	}
	crypto_sign_ed25519_sk_to_pk(opt.control_key, r->secret);
	clock_fake_init(&r->clock, 1, 1);
	r->agent.clock = &r->clock.clock;
	r->agent.rng = rng_system();
	r->agent.n_workers = 2;
	r->leases = lease_table_new(NULL);
	opt.agent = &r->agent;
	opt.leases = r->leases;
	opt.data_dir = dir;
	opt.io = io_system();
	memset(opt.disk_key, 3, sizeof(opt.disk_key));
	ck_assert_int_eq(config_new(&opt, &r->c, &r->e), 0);
}

static void
running_stop(struct running *r)
{
	for (unsigned i = 0; i < 2; i++)
		bundle_unref(atomic_exchange(&r->agent.links[i].mailbox, NULL));
	config_free(r->c);
	lease_table_free(r->leases);
	atomic_store(&r->agent.ready, 0);
}

static int
receive(struct running *r, struct buf *bundle)
{
	struct buf s;
	int rc;

	buf_init(&s, (size_t)1 << 20);
	ck_assert_int_eq(bundle_sign(buf_str(bundle), r->secret, &s), 0);
	rc = config_receive(r->c, buf_str(&s), &r->e);
	buf_release(&s);
	buf_clear(bundle);
	return rc;
}

START_TEST(test_running)
{
	static struct config_ack acks[CONFIG_MAX_ACKS];
	struct config_view v;
	struct running r;
	struct world w;
	struct buf b;
	size_t n;

	dir_make();
	world_init(&w);
	buf_init(&b, (size_t)1 << 20);
	running_start(&r, true);
	ck_assert_int_eq(config_boot(r.c, &r.e), ERR_NOT_FOUND);
	ck_assert_int_eq(atomic_load(&r.agent.ready), 0);
	world_snapshot(&w, &b);
	ck_assert_int_eq(config_receive(r.c, buf_str(&b), &r.e), ERR_CORRUPT);
	ck_assert_msg(receive(&r, &b) == 0, "%s", r.e.text);
	ck_assert_int_eq(atomic_load(&r.agent.ready), 1);
	ck_assert_uint_eq(atomic_load(&r.agent.links[1].mailbox)->version, 5);
	n = config_acks(r.c, acks);
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(acks[0].level, HG__ACK_LEVEL__ACK_RECEIVED);
	ck_assert_uint_eq(acks[1].level, HG__ACK_LEVEL__ACK_VALIDATED);
	ck_assert_uint_eq(acks[2].level, HG__ACK_LEVEL__ACK_ACTIVE);
	config_acks_sent(r.c, 2);
	ck_assert_uint_eq(config_acks(r.c, acks), 1);
	config_acks_sent(r.c, 9);

	/* A broken version: refused by name, the good one stays. */
	w.version = 6;
	break_price_class(&w);
	world_snapshot(&w, &b);
	ck_assert_int_eq(receive(&r, &b), ERR_INVALID);
	config_view(r.c, &v);
	ck_assert_uint_eq(v.version, 5);
	ck_assert_uint_eq(v.rejected, 6);
	n = config_acks(r.c, acks);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(acks[1].level, HG__ACK_LEVEL__ACK_REJECTED);
	ck_assert_str_eq(acks[1].item, "gpt-m");
	/* Again, older, or the same: nothing happens. */
	world_find(&w, KIND(MODEL), W_MODEL)->model->prices[1]->token_class =
	    TC_OUTPUT;
	w.version = 5;
	world_snapshot(&w, &b);
	ck_assert_int_eq(receive(&r, &b), 0);
	w.version = 4;
	world_snapshot(&w, &b);
	ck_assert_int_eq(receive(&r, &b), ERR_CONFLICT);
	w.version = 7;
	world_snapshot(&w, &b);
	ck_assert_int_eq(receive(&r, &b), 0);
	running_stop(&r);

	/* The next start has it without the control plane. */
	running_start(&r, false);
	ck_assert_msg(config_boot(r.c, &r.e) == 0, "%s", r.e.text);
	config_view(r.c, &v);
	ck_assert_uint_eq(v.version, 7);
	ck_assert(v.from_cache);
	ck_assert_int_eq(atomic_load(&r.agent.ready), 1);
	ck_assert_uint_eq(config_acks(r.c, acks), 0);
	running_stop(&r);
	buf_release(&b);
	world_release(&w);
	dir_drop();
}
END_TEST

/* ---- size
 * -------------------------------------------------------------------------- */

static void
pack_field(struct buf *out, unsigned field, const struct buf *b)
{
	size_t n = b->len;

	(void)buf_addc(out, (char)(field << 3 | 2));
	for (; n >= 0x80; n >>= 7)
		(void)buf_addc(out, (char)(n | 0x80));
	(void)buf_addc(out, (char)n);
	(void)buf_add(out, b->data, b->len);
}

/* A snapshot with n more keys; its hash is computed by trial. */
static void
big_snapshot(struct world *w, unsigned n, struct buf *out)
{
	struct buf one;
	struct state_hasher h;
	uint8_t hash[STATE_HASH_LEN];
	uint32_t kind = 0;
	uint64_t uid = 0;

	buf_init(&one, 65536);
	state_hash_init(&h);
	world_snapshot(w, &one); /* sorts the items */
	buf_clear(&one);
	for (size_t i = 0; i < w->n + n; i++) {
		/* keys come after tenant, team, project */
		Hg__Item item, *it = &item;
		Hg__Key key;
		uint8_t digest[32];
		char name[64];

		if (i < 4 || i >= 4 + (size_t)n) {
			it = w->items[i < 4 ? i : i - n];
		} else {
			hg__item__init(&item);
			hg__key__init(&key);
			item.kind = KIND(KEY);
			item.uid = W_FREE + i;
			(void)snprintf(
			    name, sizeof(name), "acme.r.p.key-number-%zu", i);
			item.name = name;
			item.key = &key;
			key.project_uid = W_PROJECT;
			world_digest((unsigned)item.uid, digest);
			key.digest.data = digest;
			key.digest.len = 32;
		}
		buf_clear(&one);
		ck_assert_int_eq(proto_pack(&it->base, &one), 0);
		item_hash(buf_str(&one), hash);
		kind = (uint32_t)it->kind;
		uid = it->uid;
		state_hash_add(&h, kind, uid, hash);
		pack_field(out, 7, &one);
	}
	state_hash_final(&h, hash);
	buf_clear(&one);
	(void)buf_add(&one, hash, sizeof(hash));
	pack_field(out, 5, &one);
	(void)buf_add(out, "\x18\x63", 2); /* version = 99 */
	buf_release(&one);
}

START_TEST(test_size)
{
	static const unsigned sizes[] = {10000, 100000};

	for (unsigned i = 0; i < 2; i++) {
		size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
		struct item_state *s = NULL;
		int64_t t0, t1, t2;
		struct bench x;
		struct world w;
		struct buf b;
		size_t after;
		uint8_t digest[32];

		world_init(&w);
		bench_init(&x);
		buf_init(&b, (size_t)256 << 20);
		big_snapshot(&w, sizes[i], &b);
		t0 = clock_mono(clock_system());
		ck_assert_msg(items_apply(NULL, buf_str(&b), &s, &x.e) == 0,
		    "%s", x.e.text);
		t1 = clock_mono(clock_system());
		ck_assert_msg(bundle_compile(s, x.leases, x.limits, &x.b,
				  &x.why, &x.e) == 0,
		    "%s", x.e.text);
		t2 = clock_mono(clock_system());
		buf_release(&b);
		world_release(&w);
		after = mallinfo2().uordblks + mallinfo2().hblkhd;
		printf("# %u keys: %zu KiB, apply %lld ms, compile %lld ms\n",
		    sizes[i], (after - before) / 1024,
		    (long long)(t1 - t0) / 1000000,
		    (long long)(t2 - t1) / 1000000);
#ifndef HEADGATE_SANITIZED
		if (i == 0)
			ck_assert_uint_lt(after - before, (size_t)12 << 20);
		ck_assert_int_lt(t2 - t0, 3 * NS_PER_S);
#endif
		world_digest(W_FREE + 10, digest);
		ck_assert_ptr_nonnull(bundle_find_key(x.b, digest));
		items_unref(s);
		bench_release(&x);
	}
}
END_TEST

/* A bundle that this agent would misread is not taken, and the text says so. */
START_TEST(test_newer_schema)
{
	uint8_t hash[STATE_HASH_LEN] = {1};
	char group[] = "g";
	Hg__Bundle b = HG__BUNDLE__INIT;
	struct bundle_head head;
	struct error e = {0};
	uint8_t bytes[256];

	b.group = group;
	b.version = 7;
	b.state_hash.data = hash;
	b.state_hash.len = sizeof(hash);
	for (uint32_t more = 0; more < 2; more++) {
		size_t n;

		b.min_schema_minor = PROTO_SCHEMA_MINOR + more;
		ck_assert_uint_le(
		    hg__bundle__get_packed_size(&b), sizeof(bytes));
		n = hg__bundle__pack(&b, bytes);
		ck_assert_int_eq(
		    bundle_head_read(str_make((char *)bytes, n), &head, &e),
		    more ? ERR_UNSUPPORTED : 0);
	}
	ck_assert_ptr_nonnull(strstr(e.text, "upgrade"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/config");

	UNIT_ADD(s, test_compile);
	UNIT_ADD(s, test_rights);
	UNIT_ADD(s, test_rejects);
	UNIT_ADD(s, test_unpriced);
	UNIT_ADD(s, test_dangling_scope);
	UNIT_ADD(s, test_base_url);
	UNIT_ADD(s, test_delta);
	UNIT_ADD(s, test_damaged_bundle);
	UNIT_ADD(s, test_newer_schema);
	UNIT_ADD(s, test_cache);
	UNIT_ADD(s, test_running);
	UNIT_ADD(s, test_size);
	return unit_run(s);
}
