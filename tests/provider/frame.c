/* SPDX-License-Identifier: Apache-2.0 */
/* Events as bytes; see frame.h. */
#include "tests/provider/frame.h"

static const char *
frame_line_end(const struct exchange *x, int64_t event)
{
	static const char *const ends[] = {"\n", "\r\n", "\r"};
	int64_t f = knob_or(x->k.framing, FRAMING_LF);

	return ends[f == FRAMING_MIXED ? event % 3 : f];
}

/* JSON of a data line: blanks before its last brace, and broken over several
 * data lines after commas outside of strings. */
static void
frame_data(const struct exchange *x, struct str json, const char *lead,
    const char *end, struct buf *out)
{
	int64_t left = knob_or(x->k.multiline, 1) - 1;
	bool in_string = false;

	for (size_t i = 0; i < json.len; i++) {
		char c = json.p[i];

		if (i + 1 == json.len && c == '}') {
			for (int64_t n = 0; n < x->k.padding; n++)
				buf_addc(out, ' ');
		}
		buf_addc(out, c);
		if (c == '\\' && in_string && i + 1 < json.len)
			buf_addc(out, json.p[++i]);
		else if (c == '"')
			in_string = !in_string;
		else if (c == ',' && !in_string && left > 0) {
			buf_addz(out, end);
			if (left-- % 2 == 0) { /* an empty one in between */
				buf_addz(out, "data:");
				buf_addz(out, end);
			}
			buf_addz(out, lead);
		}
	}
}

static void
frame_line(
    const struct exchange *x, struct str line, const char *end, struct buf *out)
{
	const char *lead = x->k.nospace > 0 ? "data:" : "data: ";

	if (str_starts(line, STR("data: "))) {
		buf_addz(out, lead);
		frame_data(
		    x, str_make(line.p + 6, line.len - 6), lead, end, out);
	} else {
		buf_add_str(out, line);
	}
	buf_addz(out, end);
}

static void
frame_sse(struct exchange *x, struct str events, struct buf *out)
{
	struct str line;

	if (x->k.bom > 0 && x->n_frames == 0)
		buf_addz(out, "\xef\xbb\xbf");
	while (events.len > 0) {
		const char *end = frame_line_end(x, x->n_frames);

		if (x->k.ids > 0)
			buf_addf(out, "id: %lld%sretry: 3000%s",
			    (long long)x->n_frames, end, end);
		while (str_cut(events, '\n', &line, &events) && line.len > 0)
			frame_line(x, line, end, out);
		buf_addz(out, end);
		x->n_frames++;
	}
}

static void
frame_array(struct exchange *x, struct str events, struct buf *out)
{
	struct str line;

	while (events.len > 0) {
		(void)str_cut(events, '\n', &line, &events);
		if (line.len == 0)
			continue;
		buf_addz(out, x->n_frames++ == 0 ? "[" : ",\r\n");
		buf_add_str(out, line);
		buf_addc(out, '\n');
	}
}

/* Can the events go out as they are? */
static bool
frame_is_plain(const struct exchange *x)
{
	return x->d->wire == WIRE_BINARY ||
	       (x->d->wire != WIRE_ARRAY && x->k.framing <= FRAMING_LF &&
		   x->k.multiline < 2 && x->k.padding < 1 && x->k.bom < 1 &&
		   x->k.nospace < 1 && x->k.ids < 1);
}

static void
frame_chunk(struct conn *c, struct str body)
{
	static const char digits[] = "0123456789abcdef";
	char hex[20];
	size_t at = sizeof(hex);

	if (body.len == 0)
		return;
	if (c->x.k.until_close > 0) { /* no chunks */
		buf_add_str(&c->out, body);
		return;
	}
	for (size_t v = body.len; v > 0; v /= 16)
		hex[--at] = digits[v % 16];
	buf_add(&c->out, hex + at, sizeof(hex) - at);
	buf_add(&c->out, "\r\n", 2);
	buf_add_str(&c->out, body);
	buf_add(&c->out, "\r\n", 2);
}

void
frame_events(struct conn *c, struct str events, bool last)
{
	struct exchange *x = &c->x;
	struct buf out;
	struct str body;

	if (events.len == 0)
		return;
	if (frame_is_plain(x)) {
		if (last && x->k.no_final_blank > 0 && x->d->wire == WIRE_SSE)
			events.len -= 2;
		frame_chunk(c, events);
		return;
	}
	buf_init(&out, 1024 * 1024 * 1024);
	if (x->d->wire == WIRE_ARRAY)
		frame_array(x, events, &out);
	else if (x->d->wire == WIRE_SSE)
		frame_sse(x, events, &out);
	else
		buf_add_str(&out, events);
	body = buf_str(&out);
	while (last && x->k.no_final_blank > 0 && body.len > 0 &&
	       (body.p[body.len - 1] == '\n' || body.p[body.len - 1] == '\r'))
		body.len--;
	frame_chunk(c, body);
	buf_release(&out);
}

void
frame_end(struct conn *c)
{
	if (c->x.d->wire == WIRE_ARRAY)
		frame_chunk(c, c->x.n_frames == 0 ? STR("[]\n") : STR("]\n"));
	if (c->x.k.until_close <= 0)
		buf_addz(&c->out, "0\r\n\r\n");
}

static uint32_t
frame_crc(const char *p, size_t n)
{
	static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8,
	    0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0,
	    0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
	uint32_t crc = 0xffffffffU;

	for (size_t i = 0; i < n; i++) {
		crc ^= (unsigned char)p[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static void
frame_u32(struct buf *out, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_addc(out, (char)(v >> shift & 0xff));
}

static void
frame_header(struct buf *out, const char *name, const char *value)
{
	size_t n = strlen(value);

	buf_addc(out, (char)strlen(name));
	buf_addz(out, name);
	buf_addc(out, 7);
	buf_addc(out, (char)(n >> 8));
	buf_addc(out, (char)(n & 0xff));
	buf_addz(out, value);
}

void
frame_prelude(struct buf *out, uint32_t total, uint32_t headers)
{
	size_t at = out->len;

	frame_u32(out, total);
	frame_u32(out, headers);
	frame_u32(out, frame_crc(out->data + at, 8));
}

void
frame_binary(
    struct buf *out, const char *kind, const char *type, struct str payload)
{
	struct buf headers;
	size_t at = out->len;
	bool event = strcmp(kind, "event") == 0;

	buf_init(&headers, 4096);
	frame_header(&headers, event ? ":event-type" : ":exception-type", type);
	frame_header(&headers, ":content-type", "application/json");
	frame_header(&headers, ":message-type", kind);
	frame_prelude(out, (uint32_t)(16 + headers.len + payload.len),
	    (uint32_t)headers.len);
	buf_add_str(out, buf_str(&headers));
	buf_add_str(out, payload);
	frame_u32(out, frame_crc(out->data + at, out->len - at));
	buf_release(&headers);
}
