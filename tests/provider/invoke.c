/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amazon Bedrock's InvokeModel, with and without a response stream, for models
 * whose own format is Anthropic's: the answers are those of Anthropic, each
 * event of a stream in base64 within a frame, and Bedrock's own counts with
 * the last one.
 */
#include "tests/provider/fault.h"
#include "tests/provider/frame.h"
#include "tests/provider/openai.h"

/* What anthropic.c writes as usage does not split out thinking here. */
static int64_t
invoke_input(const struct usage *u)
{
	return u->prompt - u->cached - u->write_5m - u->write_1h;
}

static void
invoke_headers(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);

	if (x->stream)
		buf_addz(
		    out, "x-amzn-bedrock-content-type: application/json\r\n");
	else if (exchange_usage_times(x) > 0)
		buf_addf(out,
		    "x-amzn-bedrock-input-token-count: %lld\r\n"
		    "x-amzn-bedrock-output-token-count: %lld\r\n"
		    "x-amzn-bedrock-cache-read-input-token-count: %lld\r\n"
		    "x-amzn-bedrock-cache-write-input-token-count: %lld\r\n"
		    "x-amzn-bedrock-invocation-latency: 1\r\n",
		    (long long)invoke_input(&u), (long long)u.completion,
		    (long long)u.cached, (long long)(u.write_5m + u.write_1h));
	if (x->k.tier > TIER_STANDARD)
		buf_addf(out, "x-amzn-bedrock-service-tier: %s\r\n",
		    knobs_tier_name((enum tier)x->k.tier));
}

/* One frame around the JSON of one event. */
static void
invoke_chunk(const struct exchange *x, struct buf *json, struct buf *out)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	int64_t pad = knob_or(x->k.padding, 1 + x->step % 7);
	struct buf p;

	fault_payload(x, json);
	buf_init(&p, SIZE_MAX / 2);
	buf_addz(&p, "{\"bytes\":\"");
	embed_base64(&p, (const unsigned char *)json->data, json->len);
	buf_addc(&p, '"');
	if (pad > 0) {
		buf_addz(&p, ",\"p\":\"");
		for (int64_t i = 0; i < pad; i++)
			buf_addc(&p, letters[i % 26]);
		buf_addc(&p, '"');
	}
	buf_addc(&p, '}');
	frame_binary(out, "event", "chunk", buf_str(&p));
	buf_release(&p);
}

/* Bedrock's counts, as the last member of the last event. */
static void
invoke_metrics(const struct exchange *x, struct buf *json)
{
	struct usage u = exchange_usage(x);

	json->len--; /* the brace */
	if (exchange_fault_is(x, FAULT_USAGE_NULL))
		buf_addz(json, ",\"amazon-bedrock-invocationMetrics\":null}");
	else
		buf_addf(json,
		    ",\"amazon-bedrock-invocationMetrics\":{"
		    "\"inputTokenCount\":%lld,\"outputTokenCount\":%lld,"
		    "\"invocationLatency\":2,\"firstByteLatency\":1,"
		    "\"cacheReadInputTokenCount\":%lld,"
		    "\"cacheWriteInputTokenCount\":%lld}}",
		    (long long)invoke_input(&u), (long long)u.completion,
		    (long long)u.cached, (long long)(u.write_5m + u.write_1h));
}

/* Events of Anthropic as frames. */
static void
invoke_frames(const struct exchange *x, struct str events, struct buf *out)
{
	struct str line;
	struct buf json;

	buf_init(&json, SIZE_MAX / 2);
	while (events.len > 0) {
		(void)str_cut(events, '\n', &line, &events);
		if (!str_starts(line, STR("data: ")))
			continue;
		buf_clear(&json);
		buf_add(&json, line.p + 6, line.len - 6);
		if (str_starts(line, STR("data: {\"type\":\"message_stop\"")) &&
		    exchange_usage_times(x) > 0)
			invoke_metrics(x, &json);
		invoke_chunk(x, &json, out);
	}
	buf_release(&json);
}

static void
invoke_plain(const struct exchange *x, struct buf *out)
{
	messages_dialect.plain(x, out);
}

static void
invoke_start(struct exchange *x, struct buf *out)
{
	struct buf events;

	buf_init(&events, 65536);
	messages_dialect.start(x, &events);
	invoke_frames(x, buf_str(&events), out);
	buf_release(&events);
}

static void
invoke_content(struct exchange *x, int64_t at, struct buf *out)
{
	struct buf events;

	buf_init(&events, 64 * 1024 * 1024);
	messages_dialect.content(x, at, &events);
	invoke_frames(x, buf_str(&events), out);
	buf_release(&events);
}

static void
invoke_finish(struct exchange *x, struct buf *out)
{
	struct buf events;

	buf_init(&events, 65536);
	messages_dialect.finish(x, &events);
	invoke_frames(x, buf_str(&events), out);
	buf_release(&events);
}

static void
invoke_error(const struct exchange *x, int status, struct buf *out)
{
	converse_dialect.error(x, status, out);
}

static void
invoke_bad_json(const struct exchange *x, struct buf *out)
{
	struct buf json;

	buf_init(&json, 4096);
	buf_addz(&json, "{\"type\":\"content_block_delta\",\"delta\":{\"te");
	invoke_chunk(x, &json, out);
	buf_release(&json);
}

const struct dialect invoke_dialect = {
    .tells = TELLS_CACHED | TELLS_WRITES | TELLS_TTL | TELLS_SEARCH,
    .tiered = true,
    .op = "invoke",
    .stream_type = "application/vnd.amazon.eventstream",
    .wire = WIRE_BINARY,
    .plain = invoke_plain,
    .start = invoke_start,
    .content = invoke_content,
    .finish = invoke_finish,
    .error = invoke_error,
    .headers = invoke_headers,
    .bad_json = invoke_bad_json,
};
