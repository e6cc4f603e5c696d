/* SPDX-License-Identifier: Apache-2.0 */
/* Makes event-stream messages, for tests and fuzz targets; the agent itself
 * only reads them. */
#ifndef TESTS_UNIT_AGENT_EVENTSTREAM_KIT_H
#define TESTS_UNIT_AGENT_EVENTSTREAM_KIT_H

#include "agent/dialect/eventstream.h"

static inline void
es_u32(char *p, uint32_t v)
{
	p[0] = (char)(v >> 24);
	p[1] = (char)(v >> 16);
	p[2] = (char)(v >> 8);
	p[3] = (char)v;
}

/* A STRING header. */
static inline void
es_header(struct buf *h, const char *name, struct str value)
{
	(void)buf_addc(h, (char)strlen(name));
	(void)buf_addz(h, name);
	(void)buf_addc(h, EVENTSTREAM_STRING);
	(void)buf_addc(h, (char)(value.len >> 8));
	(void)buf_addc(h, (char)value.len);
	(void)buf_add_str(h, value);
}

/* A message of raw headers, appended. */
static inline void
es_message(struct buf *out, struct str headers, struct str payload)
{
	size_t total = headers.len + payload.len + EVENTSTREAM_OVERHEAD;
	size_t start = out->len;
	char head[12], crc[4];

	es_u32(head, (uint32_t)total);
	es_u32(head + 4, (uint32_t)headers.len);
	es_u32(head + 8, eventstream_crc32(0, head, 8));
	(void)buf_add(out, head, sizeof(head));
	(void)buf_add_str(out, headers);
	(void)buf_add_str(out, payload);
	es_u32(crc, eventstream_crc32(0, out->data + start, out->len - start));
	(void)buf_add(out, crc, sizeof(crc));
}

/* A message as Bedrock sends it; kind "event" or "exception". */
static inline void
es_bedrock(
    struct buf *out, const char *kind, const char *type, struct str payload)
{
	struct buf h;

	buf_init(&h, 4096);
	es_header(&h, kind[1] == 'v' ? ":event-type" : ":exception-type",
	    str_of(type));
	es_header(&h, ":content-type", STR("application/json"));
	es_header(&h, ":message-type", str_of(kind));
	es_message(out, buf_str(&h), payload);
	buf_release(&h);
}

/* Lines "type payload" as such messages; "!type": an exception. */
static inline void
es_bedrock_lines(struct str text, struct buf *out)
{
	struct str line, type, payload;
	char word[64];

	while (text.len > 0) {
		(void)str_cut(text, '\n', &line, &text);
		(void)str_cut(line, ' ', &type, &payload);
		if (str_copy(type, word, sizeof(word)) != 0)
			continue;
		es_bedrock(out, word[0] == '!' ? "exception" : "event",
		    word[0] == '!' ? word + 1 : word, payload);
	}
}

#endif
