/* SPDX-License-Identifier: Apache-2.0 */
/* See codec_kit.h. */
#include "tests/unit/agent/codec_kit.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/agent/codec_order.h"
#include "tests/unit/support/unit.h"

static const char *const kit_parts[] = {"text", "image", "document", "audio",
    "video", "call", "result", "thinking", "redacted", "refusal"};

void
codec_seen_release(struct codec_seen *s)
{
	buf_release(&s->events);
	buf_release(&s->out);
}

static void
kit_word(struct buf *out, struct str s)
{
	(void)buf_addc(out, ' ');
	(void)buf_add_str(out, s);
}

static void
kit_optional(struct buf *out, struct str s)
{
	if (s.len > 0)
		kit_word(out, s);
}

void
codec_kit_line(struct buf *out, const struct ir_event *ev)
{
	static const char *const words[] = {"start", "block", "delta", "sig",
	    "stop", "logprobs", "finish", "usage", "error", "end"};

	(void)buf_addz(out, words[ev->type]);
	switch (ev->type) {
	case IR_EV_START:
		kit_word(out, ev->id);
		kit_word(out, ev->model);
		break;
	case IR_EV_BLOCK_START:
		(void)buf_addf(out, " %u.%u %s", ev->choice, ev->block,
		    kit_parts[ev->part]);
		kit_optional(out, ev->id);
		kit_optional(out, ev->name);
		break;
	case IR_EV_DELTA:
	case IR_EV_SIGNATURE:
		(void)buf_addf(out, " %u.%u", ev->choice, ev->block);
		kit_word(out, ev->text);
		break;
	case IR_EV_BLOCK_STOP:
		(void)buf_addf(out, " %u.%u", ev->choice, ev->block);
		break;
	case IR_EV_LOGPROBS:
		(void)buf_addf(out, " %u.%u", ev->choice, ev->block);
		kit_word(out, ev->json);
		break;
	case IR_EV_FINISH:
		(void)buf_addf(
		    out, " %u %s", ev->choice, ir_finish_openai(ev->finish));
		kit_word(out, ev->native);
		kit_optional(out, ev->text);
		break;
	case IR_EV_USAGE:
		(void)buf_addf(out, " %lld %lld",
		    (long long)ev->usage->input_total,
		    (long long)ev->usage->output_total);
		break;
	case IR_EV_ERROR:
		(void)buf_addf(out, " %d", ev->status);
		kit_word(out, ev->native);
		kit_word(out, ev->text);
		break;
	case IR_EV_END:
		break;
	}
	(void)buf_addc(out, '\n');
}

struct kit_run {
	struct codec_order order;
	struct codec_seen *seen;
	const struct codec_client *client;
	struct answer_writer *writer;
};

static int
kit_event(void *ctx, const struct ir_event *ev)
{
	struct kit_run *run = ctx;
	struct codec_seen *s = run->seen;
	const char *bad = codec_order_event(&run->order, ev);

	codec_kit_line(&s->events, ev);
	ck_assert_msg(bad == NULL, "%s, after:\n%s", bad ? bad : "",
	    buf_cstr(&s->events));
	s->ended = s->ended || ev->type == IR_EV_END;
	s->error = s->error || ev->type == IR_EV_ERROR;
	if (run->writer != NULL)
		ck_assert_int_eq(run->client->event(run->writer, ev), 0);
	return 0;
}

/* So much that every way to cut it is tried within a second. */
#define KIT_MAX 16384

static size_t
kit_limit(size_t n)
{
	return n > 0 ? n : (size_t)1 << 20;
}

void
codec_kit_run(const struct codec_kit *k, struct str body, size_t first,
    size_t step, struct codec_seen *seen)
{
	struct kit_run *run = calloc(1, sizeof(*run));
	struct answer_reader *rd;
	size_t at = 0, n;
	int rc = 0;

	memset(seen, 0, sizeof(*seen));
	buf_init(&seen->events, (size_t)1 << 26);
	buf_init(&seen->out, (size_t)1 << 26);
	ck_assert_ptr_nonnull(run);
	run->seen = seen;
	run->client = k->client;
	rd = k->provider->begin(
	    k->opts.stream, kit_limit(k->max_event), kit_limit(k->max_plain));
	ck_assert_ptr_nonnull(rd);
	if (k->client != NULL) {
		run->writer = k->client->begin(&k->opts, &seen->out);
		ck_assert_ptr_nonnull(run->writer);
	}
	for (; at < body.len && rc == 0; at += n) {
		n = at == 0 && first > 0 ? first : step;
		if (n == 0 || n > body.len - at)
			n = body.len - at;
		rc = k->provider->feed(rd, body.p + at, n, kit_event, run);
	}
	if (rc == 0) {
		rc = k->provider->finish(rd, kit_event, run);
		ck_assert_msg(rc != 0 || seen->ended || seen->error,
		    "finish() is 0 without END or ERROR");
	}
	ck_assert_msg(rc == 0 || !seen->ended, "END, but rc %d", rc);
	seen->rc = rc;
	if (k->provider->usage(rd) != NULL) {
		seen->usage = k->provider->usage(rd)->usage;
		seen->usage_known = k->provider->usage(rd)->known;
	}
	k->provider->free(rd);
	if (run->writer != NULL)
		k->client->free(run->writer);
	free(run);
}

static void
kit_same(const struct codec_seen *want, struct codec_seen *got, const char *how)
{
	ck_assert_msg(
	    want->rc == got->rc, "%s: rc %d, not %d", how, got->rc, want->rc);
	ck_assert_msg(str_eq(buf_str(&want->events), buf_str(&got->events)),
	    "%s: events\n%s\nnot\n%.*s", how, buf_cstr(&got->events),
	    STR_ARG(buf_str(&want->events)));
	ck_assert_msg(str_eq(buf_str(&want->out), buf_str(&got->out)),
	    "%s: output\n%s\nnot\n%.*s", how, buf_cstr(&got->out),
	    STR_ARG(buf_str(&want->out)));
	ck_assert_msg(
	    memcmp(&want->usage, &got->usage, sizeof(got->usage)) == 0,
	    "%s: another usage", how);
	codec_seen_release(got);
}

void
codec_kit_cuts(
    const struct codec_kit *k, struct str body, struct codec_seen *seen)
{
	size_t cut;
	struct codec_seen whole, part;
	char how[64];

	codec_kit_run(k, body, 0, 0, &whole);
	/* A longer one is made smaller, or given to codec_kit_run(). */
	ck_assert_msg(body.len <= KIT_MAX, "%zu bytes", body.len);
	for (cut = 1; cut < body.len; cut++) {
		codec_kit_run(k, body, cut, 0, &part);
		(void)snprintf(how, sizeof(how), "cut at %zu", cut);
		kit_same(&whole, &part, how);
	}
	codec_kit_run(k, body, 1, 1, &part);
	kit_same(&whole, &part, "byte by byte");
	codec_kit_run(k, body, 7, 7, &part);
	kit_same(&whole, &part, "by seven bytes");
	if (seen != NULL)
		*seen = whole;
	else
		codec_seen_release(&whole);
}

void
codec_kit_expect(
    const struct codec_kit *k, struct str body, int rc, const char *want)
{
	struct codec_seen seen;

	codec_kit_cuts(k, body, &seen);
	ck_assert_msg(str_eqz(buf_str(&seen.events), want),
	    "events\n%s\nnot\n%s", buf_cstr(&seen.events), want);
	ck_assert_int_eq(seen.rc, rc);
	codec_seen_release(&seen);
}

void
codec_kit_expect_out(
    const struct codec_kit *k, struct str body, const char *want_out)
{
	struct codec_seen seen;

	codec_kit_cuts(k, body, &seen);
	ck_assert_int_eq(seen.rc, 0);
	ck_assert_msg(str_eqz(buf_str(&seen.out), want_out),
	    "output\n%s\nnot\n%s", buf_cstr(&seen.out), want_out);
	codec_seen_release(&seen);
}

void
codec_kit_read(const struct codec_client *c, struct str body, struct arena *a,
    struct ir_request *r)
{
	struct error e = {0};

	arena_init(a, 4096, (size_t)64 << 20);
	ir_request_init(r, a);
	ck_assert_int_eq(json_validate(body, NULL, &e), 0);
	ck_assert_msg(c->read(body, STR_NULL, false, r, &e) == 0, "%s: %s",
	    e.field, e.text);
}

void
codec_kit_write(const struct codec_provider *p, const struct ir_request *r,
    const struct write_opts *o, const char *want, const char *field)
{
	struct error e = {0};
	struct buf out;
	int rc;

	buf_init(&out, (size_t)16 << 20);
	rc = p->write(r, o, &out, &e);
	if (want == NULL) {
		ck_assert_msg(
		    rc == ERR_INVALID, "rc %d, wrote %s", rc, buf_cstr(&out));
		ck_assert_str_eq(e.field, field);
		ck_assert_str_ne(e.text, "");
	} else {
		ck_assert_msg(rc == 0, "rc %d: %s: %s", rc, e.field, e.text);
		ck_assert_msg(json_validate(buf_str(&out), NULL, &e) == 0,
		    "%s in %s", e.text, buf_cstr(&out));
		ck_assert_msg(str_eqz(buf_str(&out), want),
		    "wrote\n%s\nnot\n%s", buf_cstr(&out), want);
	}
	buf_release(&out);
}
