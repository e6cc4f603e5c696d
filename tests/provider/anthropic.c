/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of Anthropic's Messages API. */
#include "tests/provider/exchange.h"

static void
messages_event(struct buf *out, const char *name)
{
	buf_addf(out, "event: %s\ndata: ", name);
}

static const char *
messages_stop_reason(const struct exchange *x)
{
	static const char *const words[] = {"end_turn", "max_tokens",
	    "tool_use", "refusal", "refusal", "stop_sequence"};

	return words[exchange_finish_reason(x)];
}

static void
messages_stop_sequence(const struct exchange *x, struct buf *out)
{
	if (exchange_finish_reason(x) == FINISH_SEQUENCE)
		buf_add_json(out, str_of(x->stop));
	else
		buf_addz(out, "null");
}

static const char *
messages_tier(const struct exchange *x)
{
	return x->k.tier > TIER_STANDARD ? knobs_tier_name((enum tier)x->k.tier)
					 : "standard";
}

/* start: the one of message_start, where output is a placeholder. */
static void
messages_usage(const struct exchange *x, bool start, struct buf *out)
{
	struct usage u = exchange_usage(x);
	bool zero = exchange_fault_is(x, FAULT_ZERO_USAGE);

	buf_addf(out,
	    "{\"input_tokens\":%lld,\"cache_creation_input_tokens\":%lld,"
	    "\"cache_read_input_tokens\":%lld",
	    (long long)(u.prompt - u.cached - u.write_5m - u.write_1h),
	    (long long)(u.write_5m + u.write_1h), (long long)u.cached);
	if (x->k.usage != USAGE_BARE)
		buf_addf(out,
		    ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":%lld,"
		    "\"ephemeral_1h_input_tokens\":%lld}",
		    (long long)u.write_5m, (long long)u.write_1h);
	buf_addf(out, ",\"output_tokens\":%lld",
	    (long long)(start ? (zero ? 0 : 1) : u.completion));
	if (!start && x->tells_reasoning)
		buf_addf(out,
		    ",\"output_tokens_details\":{\"thinking_tokens\":%lld}",
		    (long long)u.reasoning);
	if (u.web_search > 0)
		buf_addf(out,
		    ",\"server_tool_use\":{\"web_search_requests\":%lld,"
		    "\"web_fetch_requests\":0}",
		    (long long)u.web_search);
	buf_addf(out, ",\"service_tier\":\"%s\",\"inference_geo\":null}",
	    messages_tier(x));
}

static void
messages_block(const struct exchange *x, const struct block *b, struct buf *out)
{
	switch (b->type) {
	case BLOCK_THINKING:
		buf_addz(out, "{\"type\":\"thinking\",\"thinking\":\"");
		plan_text(x, 0, b, -1, out);
		buf_addz(out, "\",\"signature\":\"");
		sign_add_block(x, b, 't', out);
		buf_addz(out, "\"}");
		break;
	case BLOCK_REDACTED:
		buf_addz(out, "{\"type\":\"redacted_thinking\",\"data\":\"");
		sign_add(out, x->seed + (uint64_t)b->from, 'r', STR(""));
		buf_addz(out, "\"}");
		break;
	case BLOCK_CALL:
		buf_addz(out, "{\"type\":\"tool_use\",\"id\":\"");
		plan_call_id(x, "toolu_01", b->call, out);
		buf_addz(out, "\",\"name\":");
		buf_add_json(out, plan_name(x, b->call));
		buf_addz(out, ",\"input\":");
		buf_add_str(out, plan_args(x, b->call));
		buf_addc(out, '}');
		break;
	default:
		buf_addz(out, "{\"type\":\"text\",\"text\":\"");
		plan_text(x, 0, b, -1, out);
		buf_addz(out, "\"}");
		break;
	}
}

static void
messages_head(const struct exchange *x, struct buf *out)
{
	buf_addf(out,
	    "\"id\":\"msg_01%.22s\",\"type\":\"message\",\"role\":"
	    "\"assistant\",\"model\":\"%s\",",
	    x->id + 9, x->row.model->id);
}

static void
messages_plain(const struct exchange *x, struct buf *out)
{
	buf_addc(out, '{');
	messages_head(x, out);
	buf_addz(out, "\"content\":[");
	for (int i = 0; i < x->plan.n_blocks; i++) {
		if (i > 0)
			buf_addc(out, ',');
		messages_block(x, &x->plan.blocks[i], out);
	}
	buf_addf(out, "],\"stop_reason\":\"%s\",\"stop_sequence\":",
	    messages_stop_reason(x));
	messages_stop_sequence(x, out);
	buf_addz(out, ",\"stop_details\":null");
	if (exchange_fault_is(x, FAULT_USAGE_NULL)) {
		buf_addz(out, ",\"usage\":null");
	} else if (exchange_usage_times(x) > 0) {
		buf_addz(out, ",\"usage\":");
		messages_usage(x, false, out);
	}
	buf_addc(out, '}');
}

static void
messages_start(struct exchange *x, struct buf *out)
{
	messages_event(out, "message_start");
	buf_addz(out, "{\"type\":\"message_start\",\"message\":{");
	messages_head(x, out);
	buf_addz(out, "\"content\":[],\"stop_reason\":null,"
		      "\"stop_sequence\":null,\"stop_details\":null");
	if (exchange_usage_times(x) > 0 || x->k.after == 1) {
		buf_addz(out, ",\"usage\":");
		messages_usage(x, true, out);
	}
	buf_addz(out, "}}\n\n");
	if (x->k.unknown_events > 0)
		buf_addz(out, "event: surprise\ndata: {\"type\":\"surprise\","
			      "\"index\":99}\n\n");
}

static void
messages_block_start(
    const struct exchange *x, const struct block *b, struct buf *out)
{
	int index = (int)(b - x->plan.blocks);

	messages_event(out, "content_block_start");
	buf_addf(out,
	    "{\"type\":\"content_block_start\",\"index\":%d,"
	    "\"content_block\":",
	    index);
	switch (b->type) {
	case BLOCK_THINKING:
		buf_addz(out, "{\"type\":\"thinking\",\"thinking\":\"\","
			      "\"signature\":\"\"}");
		break;
	case BLOCK_REDACTED:
		messages_block(x, b, out);
		break;
	case BLOCK_CALL:
		buf_addz(out, "{\"type\":\"tool_use\",\"id\":\"");
		plan_call_id(x, "toolu_01", b->call, out);
		buf_addz(out, "\",\"name\":");
		buf_add_json(out, plan_name(x, b->call));
		buf_addz(out, ",\"input\":{}}");
		break;
	default:
		buf_addz(out, "{\"type\":\"text\",\"text\":\"\"}");
		break;
	}
	buf_addz(out, "}\n\n");
}

static void
messages_delta(
    const struct exchange *x, const struct block *b, int64_t i, struct buf *out)
{
	int index = (int)(b - x->plan.blocks);
	const char *type = b->type == BLOCK_THINKING ? "thinking_delta\","
						       "\"thinking"
			   : b->type == BLOCK_CALL   ? "input_json_delta\","
						       "\"partial_json"
						     : "text_delta\",\"text";

	messages_event(out, "content_block_delta");
	buf_addf(out,
	    "{\"type\":\"content_block_delta\",\"index\":%d,\"delta\":{"
	    "\"type\":\"%s\":\"",
	    index, type);
	plan_text(x, 0, b, i, out);
	buf_addz(out, "\"}}\n\n");
	if (b->type == BLOCK_THINKING && i == b->n_ev - 1) {
		messages_event(out, "content_block_delta");
		buf_addf(out,
		    "{\"type\":\"content_block_delta\",\"index\":%d,"
		    "\"delta\":{\"type\":\"signature_delta\",\"signature\":\"",
		    index);
		sign_add_block(x, b, 't', out);
		buf_addz(out, "\"}}\n\n");
	}
}

static void
messages_content_event(struct exchange *x, int64_t at, struct buf *out)
{
	int64_t i;
	const struct block *b = plan_find(x, at, &i);

	if (i == 0)
		messages_block_start(x, b, out);
	if (x->k.ping > 0 ? at % x->k.ping == 0 : at == 0) {
		messages_event(out, "ping");
		buf_addz(out, "{\"type\": \"ping\"}\n\n");
	}
	if (b->type != BLOCK_REDACTED)
		messages_delta(x, b, i, out);
	if (exchange_usage_runs(x, at)) {
		messages_event(out, "message_delta");
		buf_addz(out, "{\"type\":\"message_delta\",\"delta\":{},"
			      "\"usage\":");
		messages_usage(x, false, out);
		buf_addz(out, "}\n\n");
	}
	if (i == b->n_ev - 1) {
		messages_event(out, "content_block_stop");
		buf_addf(out,
		    "{\"type\":\"content_block_stop\",\"index\":%d}\n\n",
		    (int)(b - x->plan.blocks));
	}
}

static void
messages_finish(struct exchange *x, struct buf *out)
{
	int times = exchange_usage_times(x);
	struct usage u = exchange_usage(x);

	for (int i = 0; i < (times > 1 ? times : 1); i++) {
		messages_event(out, "message_delta");
		buf_addf(out,
		    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
		    "\"%s\",\"stop_sequence\":",
		    messages_stop_reason(x));
		messages_stop_sequence(x, out);
		buf_addc(out, '}');
		if (exchange_fault_is(x, FAULT_USAGE_NULL)) {
			buf_addz(out, ",\"usage\":null");
		} else if (times > 0 &&
			   (x->k.usage == USAGE_DELTA || u.web_search > 0)) {
			buf_addz(out, ",\"usage\":");
			messages_usage(x, false, out);
		} else if (times > 0) {
			buf_addf(out, ",\"usage\":{\"output_tokens\":%lld",
			    (long long)u.completion);
			if (u.reasoning > 0 && x->tells_reasoning)
				buf_addf(out,
				    ",\"output_tokens_details\":{"
				    "\"thinking_tokens\":%lld}",
				    (long long)u.reasoning);
			buf_addc(out, '}');
		}
		buf_addz(out, "}\n\n");
	}
	if (exchange_fault_is(x, FAULT_NO_DONE))
		return;
	messages_event(out, "message_stop");
	buf_addz(out, "{\"type\":\"message_stop\"}\n\n");
}

static void
messages_error(const struct exchange *x, int status, struct buf *out)
{
	(void)x;
	messages_event(out, "error");
	buf_addf(out,
	    "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":"
	    "\"%s\"}}\n\n",
	    status == 529   ? "overloaded_error"
	    : status == 429 ? "rate_limit_error"
			    : "api_error",
	    status == 529   ? "Overloaded"
	    : status == 429 ? "Number of requests has exceeded your rate limit"
			    : "Internal server error");
}

const struct dialect messages_dialect = {
    .tells = TELLS_CACHED | TELLS_WRITES | TELLS_TTL | TELLS_REASONING |
	     TELLS_SEARCH,
    .tiered = true,
    .op = "messages",
    .stream_type = "text/event-stream; charset=utf-8",
    .plain = messages_plain,
    .start = messages_start,
    .content = messages_content_event,
    .finish = messages_finish,
    .error = messages_error,
};
