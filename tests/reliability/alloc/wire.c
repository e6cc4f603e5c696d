/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from outside: messages, bundles, tokens, configuration files. */
#include <stddef.h>
#include <string.h>

#include "common/cfg.h"
#include "proto/bundle.h"
#include "proto/headgate.pb-c.h"
#include "proto/join.h"
#include "tests/reliability/alloc/alloc.h"

static const ProtobufCMessageDescriptor *const messages[] = {
    &hg__envelope__descriptor, &hg__error_reply__descriptor,
    &hg__enrol_request__descriptor, &hg__enrol_reply__descriptor,
    &hg__hello__descriptor, &hg__hello_reply__descriptor,
    &hg__join_token__descriptor, &hg__item__descriptor, &hg__bundle__descriptor,
    &hg__pull_request__descriptor, &hg__pull_reply__descriptor,
    &hg__heartbeat__descriptor, &hg__heartbeat_reply__descriptor,
    &hg__usage_batch__descriptor, &hg__usage_ack__descriptor};
#define N_MESSAGES (sizeof(messages) / sizeof(messages[0]))

/* Unpack, and pack what came into a signed envelope; what came out is hashed
 * by its bytes. */
static int
message_once(const ProtobufCMessageDescriptor *type, struct str in,
    struct arena *arena, struct buf *out)
{
	static const uint8_t secret[SIGN_SECRET_LEN] = {1};
	struct envelope env = {
	    .version = ENVELOPE_VERSION, .type = 1, .sender = STR("a")};
	ProtobufCMessage *m;

	arena_init(arena, 64, 4 << 20);
	buf_init(out, 4 << 20);
	m = proto_unpack(type, in, arena);
	if (m == NULL)
		return ERR_NOMEM; /* or not a message */
	return envelope_pack_message(&env, m, secret, out);
}

static void
message(struct alloc *a, struct str bytes)
{
	const ProtobufCMessageDescriptor *type;
	struct str in = str_make(bytes.p + 1, bytes.len - 1);
	struct arena arena;
	struct buf good, out;
	int want;

	if ((uint8_t)bytes.p[0] >= N_MESSAGES)
		return;
	type = messages[(uint8_t)bytes.p[0]];
	want = message_once(type, in, &arena, &good);
	arena_release(&arena);
	EACH_OOM
	{
		int rc = message_once(type, in, &arena, &out);
		bool hit = oom_hit();

		if (hit && rc == ERR_NOMEM)
			;
		else if (rc != want || !str_eq(buf_str(&out), buf_str(&good)))
			alloc_bad(a, "%s: %d, not %d", type->name, rc, want);
		arena_release(&arena);
		buf_release(&out);
	}
	a->failures += oom_failures();
	buf_release(&good);
}

void
alloc_messages(struct alloc *a)
{
	alloc_corpus(a, "fuzz_envelope", true, message);
}

/* A bundle signed, sealed, opened and verified again. */
static int
sealed_once(struct str bundle, const uint8_t *public_key, const uint8_t *secret,
    struct buf b[3], struct error *e)
{
	static const uint8_t key[GROUP_KEY_LEN] = {7};
	struct str inner;
	int rc;

	for (int i = 0; i < 3; i++)
		buf_init(&b[i], 4 << 20);
	rc = bundle_sign(bundle, secret, &b[0]);
	if (rc == 0)
		rc = delta_seal(
		    "eu", 1, key, rng_system(), buf_str(&b[0]), &b[1]);
	if (rc == 0)
		rc = delta_open(buf_str(&b[1]), "eu", key, &b[2], e);
	if (rc == 0)
		rc = bundle_verify(buf_str(&b[2]), public_key, &inner, e);
	if (rc == 0 && !str_eq(inner, bundle))
		rc = ERR_CORRUPT;
	return rc;
}

static void
sealed(struct alloc *a, struct str bytes)
{
	uint8_t public_key[SIGN_PUBLIC_LEN], secret[SIGN_SECRET_LEN];
	struct error e;
	struct buf b[3];

	sign_keypair(public_key, secret);
	EACH_OOM
	{
		int rc = sealed_once(bytes, public_key, secret, b, &e);
		bool hit = oom_hit();

		if (rc != (hit ? ERR_NOMEM : 0))
			alloc_bad(a, "bundle: %d", rc);
		for (int i = 0; i < 3; i++)
			buf_release(&b[i]);
	}
	a->failures += oom_failures();
}

void
alloc_sealed(struct alloc *a)
{
	alloc_corpus(a, "fuzz_bundle", true, sealed);
}

static void
join(struct alloc *a, struct str bytes)
{
	struct str in = str_make(bytes.p + 1, bytes.len - 1);
	struct join_token t;
	struct error e;
	struct buf b;
	int want;

	if (bytes.p[0] != 'j')
		return;
	want = join_token_parse(in, &t, &e);
	if (want == 0)
		join_token_release(&t);
	EACH_OOM
	{
		int rc = join_token_parse(in, &t, &e), again = 0;
		bool hit;

		buf_init(&b, JOIN_TEXT_MAX);
		if (rc == 0) {
			again = join_token_format(&t, &b);
			join_token_release(&t);
		}
		hit = oom_hit();
		if (hit ? rc != ERR_NOMEM && again != ERR_NOMEM
			: rc != want || again != 0)
			alloc_bad(a, "token: %d, %d", rc, again);
		buf_release(&b);
	}
	a->failures += oom_failures();
}

void
alloc_join(struct alloc *a)
{
	alloc_corpus(a, "fuzz_envelope", true, join);
}

/* ---- text -------------------------------------------------------------------
 */

struct conf {
	const char *listen, *name, *secret;
	int64_t n;
};

#define OPT(name, type, field, def)                                          \
	{                                                                    \
		name, type, offsetof(struct conf, field), def, -5, 100, "X", \
		    "Help."                                                  \
	}

static const struct cfg_option options[] = {
    OPT("listen", CFG_LISTEN, listen, ""), OPT("name", CFG_STRING, name, ""),
    OPT("secret", CFG_SECRET, secret, ""), OPT("n", CFG_INT, n, "1")};
static const struct cfg_table table = {
    "alloc", "Alloc.", "alloc", options, sizeof(options) / sizeof(options[0])};

static void
config_file(struct alloc *a, struct str text)
{
	struct conf c = {.n = 1};
	struct error e = {0};
	int want;

	if (memmem(text.p, text.len, "-file", 5) != NULL)
		return;
	want = cfg_parse_text(&table, &c, text, "f", &e);
	cfg_release(&table, &c);
	EACH_OOM
	{
		int rc;
		bool hit;

		c = (struct conf){.n = 1};
		rc = cfg_parse_text(&table, &c, text, "f", &e);
		hit = oom_hit();
		if (rc != want && !(hit && rc == ERR_NOMEM))
			alloc_bad(a, "%d, not %d", rc, want);
		cfg_release(&table, &c);
	}
	a->failures += oom_failures();
}

void
alloc_config_file(struct alloc *a)
{
	alloc_corpus(a, "fuzz_cfg", true, config_file);
	config_file(a, STR("listen = 127.0.0.1:80\nname = x\nsecret = yyyy\n"));
}

/* ---- the table --------------------------------------------------------------
 */

const struct alloc_scenario alloc_scenarios[] = {
    {"client_read", alloc_client_read},
    {"provider_write", alloc_provider_write},
    {"provider_read", alloc_provider_read}, {"errors", alloc_errors},
    {"messages", alloc_messages}, {"sealed", alloc_sealed},
    {"join", alloc_join}, {"config_file", alloc_config_file},
    {"items", alloc_items}, {"compile", alloc_compile}, {"cache", alloc_cache},
    {"journal", alloc_journal}, {"serve_plain", alloc_serve_plain},
    {"serve_stream", alloc_serve_stream},
    {"serve_translated", alloc_serve_translated}, {NULL, NULL}};
