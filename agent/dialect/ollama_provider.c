/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of Ollama's /api/chat: newline-delimited JSON, or one object of the
 * same shape as its last line.
 *
 * What is odd: calls come whole with arguments as an object, mostly without
 * an id, and the answer ends with "stop" all the same; usage is told by the
 * last object itself.
 */
#include "agent/dialect/codec.h"
#include "agent/dialect/emit.h"
#include "agent/dialect/ndjson.h"
#include "agent/dialect/provider_write.h"

#include <stdlib.h>

struct answer_reader {
	struct emit em;
	struct ndjson lines;
	struct emit_lane lane;
	struct buf body; /* plain */
	bool stream;
	bool called;
	bool done;
};

static struct answer_reader *
ollama_begin(bool stream, size_t max_event, size_t max_plain)
{
	struct answer_reader *rd = calloc(1, sizeof(*rd));

	if (rd == NULL)
		return NULL;
	rd->stream = stream;
	emit_init(&rd->em, stream ? max_event : max_plain);
	ndjson_init(&rd->lines, max_event);
	buf_init(&rd->body, max_plain);
	return rd;
}

static void
ollama_free(struct answer_reader *rd)
{
	if (rd == NULL)
		return;
	emit_release(&rd->em);
	ndjson_release(&rd->lines);
	buf_release(&rd->body);
	free(rd);
}

static const struct usage_state *
ollama_usage(const struct answer_reader *rd)
{
	return &rd->em.usage;
}

static int
ollama_call(struct answer_reader *rd, struct json call, struct str salt)
{
	static const struct str names[] = {STR("id"), STR("function")};
	static const struct str members[] = {STR("name"), STR("arguments")};
	struct json v[2], f[2];
	struct str id;

	emit_pick(call, names, v, 2);
	emit_pick(v[1], members, f, 2);
	rd->called = true;
	id = emit_text(v[0]);
	if (id.len == 0)
		id = emit_call_id(&rd->em, salt, rd->lane.next + rd->lane.open,
		    emit_text(f[0]));
	if (id.p == NULL)
		return ERR_NOMEM;
	return emit_lane_call(
	    &rd->em, &rd->lane, id, emit_text(f[0]), STR(""), f[1]);
}

static int
ollama_message(struct answer_reader *rd, struct json message, struct str salt)
{
	static const struct str names[] = {
	    STR("content"), STR("thinking"), STR("tool_calls")};
	struct json_iter it;
	struct json v[3], el;
	int rc;

	emit_pick(message, names, v, 3);
	rc = emit_lane_delta(&rd->em, &rd->lane, IR_THINKING, emit_text(v[1]));
	if (rc == 0)
		rc = emit_lane_delta(
		    &rd->em, &rd->lane, IR_TEXT, emit_text(v[0]));
	if (rc != 0 || v[2].p == NULL || v[2].type != JSON_ARRAY)
		return rc;
	it = json_iter(v[2]);
	while (rc == 0 && json_next_element(&it, &el))
		rc = ollama_call(rd, el, salt);
	return rc;
}

static int
ollama_done(struct answer_reader *rd, struct json root, struct str reason)
{
	enum ir_finish f = IR_FINISH_OTHER;
	int rc;

	rd->done = true;
	if (reason.len == 0)
		reason = STR("stop"); /* older ones do not say */
	if (str_eqz(reason, "stop"))
		f = rd->called ? IR_FINISH_TOOL_CALLS : IR_FINISH_STOP;
	else if (str_eqz(reason, "length"))
		f = IR_FINISH_LENGTH;
	(void)usage_update(&rd->em.usage, USAGE_OLLAMA, root, true);
	rc = emit_lane_stop(&rd->em, &rd->lane);
	if (rc == 0)
		rc = emit_finish(&rd->em, 0, f, reason, STR(""));
	return rc != 0 ? rc : emit_usage(&rd->em);
}

static int
ollama_line(void *ctx, struct str line)
{
	static const struct str names[] = {STR("model"), STR("message"),
	    STR("done"), STR("done_reason"), STR("error"), STR("created_at")};
	struct answer_reader *rd = ctx;
	struct json root, v[6];
	int rc;

	if (rd->done)
		return 0;
	rc = emit_parse(line, rd->em.max_event, &root);
	if (rc != 0)
		return rc;
	emit_pick(root, names, v, 6);
	if (v[4].p != NULL)
		return emit_error(&rd->em, STR("error"), 500, emit_text(v[4]));
	rc = emit_start(&rd->em, STR(""), emit_text(v[0]));
	if (rc == 0 && v[1].p != NULL)
		rc = ollama_message(rd, v[1], emit_text(v[5]));
	if (rc == 0 && v[2].p != NULL && json_is_true(v[2]))
		rc = ollama_done(rd, root, emit_text(v[3]));
	return rc;
}

static int
ollama_feed(struct answer_reader *rd, const char *p, size_t n, ir_event_fn *fn,
    void *ctx)
{
	if (!rd->stream)
		return buf_add(&rd->body, p, n);
	if (rd->em.failed)
		return 0;
	rd->em.fn = fn;
	rd->em.ctx = ctx;
	return emit_result(ndjson_feed(&rd->lines, p, n, ollama_line, rd));
}

static int
ollama_finish(struct answer_reader *rd, ir_event_fn *fn, void *ctx)
{
	int rc;

	rd->em.fn = fn;
	rd->em.ctx = ctx;
	if (rd->em.failed)
		return 0;
	rc = rd->stream ? ndjson_finish(&rd->lines, ollama_line, rd)
			: ollama_line(rd, buf_str(&rd->body));
	if (rc != 0)
		return emit_result(rc);
	return rd->done ? emit_end(&rd->em) : ERR_INVALID;
}

const struct codec_provider codec_ollama_provider = {
    .name = "ollama",
    .write = ollama_write,
    .begin = ollama_begin,
    .feed = ollama_feed,
    .finish = ollama_finish,
    .usage = ollama_usage,
    .free = ollama_free,
};
