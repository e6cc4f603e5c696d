/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codecs of all dialects: requests read and written, answers read and
 * written on, providers' errors, over what the fuzzers keep.
 */
#include <string.h>

#include "agent/dialect/codec.h"
#include "agent/dialect/errors.h"
#include "tests/reliability/alloc/alloc.h"

static const struct codec_client *const clients[] = {&codec_openai_chat_client,
    &codec_responses_client, &codec_anthropic_client, &codec_gemini_client};
#define N_CLIENTS (sizeof(clients) / sizeof(clients[0]))
static const enum carry_client carries[] = {
    CARRY_C_CHAT, CARRY_C_RESPONSES, CARRY_C_ANTHROPIC, CARRY_C_GEMINI};

static const struct codec_provider *const providers[] = {
    &codec_openai_chat_provider, &codec_anthropic_provider,
    &codec_gemini_provider, &codec_bedrock_provider, &codec_cohere_provider,
    &codec_ollama_provider, &codec_responses_provider};
#define N_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

/* Where requests and answers are. */
static const char *const folders[] = {"fuzz_provider_codec1",
    "fuzz_provider_codec2", "fuzz_openai_codec", "fuzz_anthropic_gemini_codec"};
#define N_FOLDERS (sizeof(folders) / sizeof(folders[0]))

static void
each_body(struct alloc *a, void (*fn)(struct alloc *a, struct str body))
{
	for (size_t i = 0; i < N_FOLDERS; i++)
		alloc_corpus(a, folders[i], false, fn);
}

static int
read_request(const struct codec_client *c, struct str body, struct arena *arena,
    struct ir_request *r, struct error *e)
{
	arena_init(arena, 1024, (size_t)32 << 20);
	ir_request_init(r, arena);
	return c->read(body, STR("gemini-x"), false, r, e);
}

static void
client_read(struct alloc *a, struct str body)
{
	struct ir_request r;
	struct arena arena;
	struct error e = {.text = ""};
	int want;

	if (json_validate(body, NULL, NULL) != 0)
		return;
	for (size_t i = 0; i < N_CLIENTS; i++) {
		want = read_request(clients[i], body, &arena, &r, &e);
		arena_release(&arena);
		EACH_OOM
		{
			bool hit;
			int rc;

			e.text[0] = '\0';
			rc = read_request(clients[i], body, &arena, &r, &e);
			hit = oom_hit();
			if (rc != want && !(hit && rc == ERR_NOMEM))
				alloc_bad(a, "%s: %d, not %d: %s",
				    clients[i]->name, rc, want, e.text);
			if (rc != 0 && e.text[0] == '\0')
				alloc_bad(a, "%s: no text", clients[i]->name);
			arena_release(&arena);
		}
		a->failures += oom_failures();
	}
}

void
alloc_client_read(struct alloc *a)
{
	each_body(a, client_read);
}

/* ---- requests to providers ------------------------------------------------
 */

static void
write_to(struct alloc *a, const struct codec_provider *p,
    const struct ir_request *r, enum carry_client client)
{
	struct write_opts o = {.client = client,
	    .model = STR("m"),
	    .max_output = 5000,
	    .lenient = true};
	struct carry_lost lost = {0};
	struct error e = {.text = ""};
	struct buf good, out;
	int want;

	o.lost = &lost;
	buf_init(&good, (size_t)16 << 20);
	want = p->write(r, &o, &good, &e);
	EACH_OOM
	{
		bool hit;
		int rc;

		buf_init(&out, (size_t)16 << 20);
		rc = p->write(r, &o, &out, &e);
		hit = oom_hit();
		if (hit && rc == ERR_NOMEM)
			;
		else if (rc != want)
			alloc_bad(a, "%s: %d, not %d", p->name, rc, want);
		else if (rc == 0 && !str_eq(buf_str(&out), buf_str(&good)))
			alloc_bad(a, "%s: written otherwise", p->name);
		buf_release(&out);
	}
	a->failures += oom_failures();
	buf_release(&good);
}

static void
provider_write(struct alloc *a, struct str body)
{
	struct ir_request r;
	struct arena arena;
	struct error e;

	if (json_validate(body, NULL, NULL) != 0)
		return;
	for (size_t i = 0; i < N_CLIENTS; i++) {
		if (read_request(clients[i], body, &arena, &r, &e) == 0)
			for (size_t k = 0; k < N_PROVIDERS; k++)
				if (providers[k]->write != NULL)
					write_to(
					    a, providers[k], &r, carries[i]);
		arena_release(&arena);
	}
}

void
alloc_provider_write(struct alloc *a)
{
	each_body(a, provider_write);
}

/* ---- answers ----------------------------------------------------------------
 */

struct flow {
	const struct codec_client *client;
	struct answer_writer *writer;
	struct buf out;
};

static int
flow_event(void *ctx, const struct ir_event *ev)
{
	struct flow *f = ctx;

	return f->client->event(f->writer, ev);
}

/* An answer through reader and writer, in pieces. */
static int
flow_run(struct flow *f, const struct codec_provider *p,
    const struct codec_client *c, struct str body, bool stream)
{
	struct answer_opts o = {.model = STR("m"),
	    .id = STR("id"),
	    .stream = stream,
	    .include_usage = true,
	    .show_thinking = true};
	struct answer_reader *rd;
	int rc = 0;

	f->client = c;
	buf_init(&f->out, (size_t)1 << 24);
	f->writer = c->begin(&o, &f->out);
	if (f->writer == NULL)
		return ERR_NOMEM;
	rd = p->begin(stream, 1 << 20, 1 << 20);
	if (rd == NULL)
		rc = ERR_NOMEM;
	for (size_t at = 0, n; rc == 0 && at < body.len; at += n) {
		n = body.len - at < 97 ? body.len - at : 97;
		rc = p->feed(rd, body.p + at, n, flow_event, f);
	}
	if (rc == 0)
		rc = p->finish(rd, flow_event, f);
	if (rd != NULL) {
		MUST(p->usage(rd) != NULL);
		p->free(rd);
	}
	c->free(f->writer);
	return rc;
}

static void
flow_torture(struct alloc *a, const struct codec_provider *p,
    const struct codec_client *c, struct str body, bool stream)
{
	struct flow good, now;
	int want = flow_run(&good, p, c, body, stream);

	EACH_OOM
	{
		int rc = flow_run(&now, p, c, body, stream);
		bool hit = oom_hit();

		if (hit && rc == ERR_NOMEM)
			;
		else if (rc != want)
			alloc_bad(a, "%s to %s: %d, not %d", p->name, c->name,
			    rc, want);
		else if (!str_eq(buf_str(&now.out), buf_str(&good.out)))
			alloc_bad(a, "%s to %s: other bytes", p->name, c->name);
		buf_release(&now.out);
	}
	a->failures += oom_failures();
	buf_release(&good.out);
}

static void
provider_read(struct alloc *a, struct str body)
{
	bool plain = body.len > 0 && body.p[0] == '{';

	for (size_t k = 0; k < N_PROVIDERS; k++)
		for (size_t i = 0; i < N_CLIENTS; i++) {
			flow_torture(a, providers[k], clients[i], body, true);
			if (plain)
				flow_torture(
				    a, providers[k], clients[i], body, false);
		}
}

void
alloc_provider_read(struct alloc *a)
{
	each_body(a, provider_read);
}

/* ---- errors ---------------------------------------------------------------
 */

static void
provider_error(struct alloc *a, struct str body)
{
	struct dialect_error d;
	struct buf b;

	for (int p = 0; p < (int)PROVIDER_N_DIALECTS; p++) {
		(void)errors_parse((enum provider_dialect)p, 429, STR_NULL,
		    body, &json_default_limits, &d);
		EACH_OOM
		{
			int rc;
			bool hit;

			buf_init(&b, 1 << 20);
			errors_write(
			    &b, (enum client_dialect)(p % 3), &d, "id", NULL);
			rc = buf_error(&b);
			hit = oom_hit();
			if (rc != (hit ? ERR_NOMEM : 0))
				alloc_bad(a, "error: %d", rc);
			buf_release(&b);
		}
		a->failures += oom_failures();
	}
}

void
alloc_errors(struct alloc *a)
{
	each_body(a, provider_error);
	alloc_corpus(a, "fuzz_surface", false, provider_error);
}
