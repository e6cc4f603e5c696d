/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing of protobuf messages, byte for byte as protobuf-c does it, in one
 * pass. protobuf-c needs the size of every submessage before it and asks for
 * it once for each level around; here the bytes are written from the end
 * towards the beginning, so that a length is known when it is written.
 */
#include <stdlib.h>

#include "proto/envelope.h"

#define PACK_FIRST 512 /* bytes, on the stack */

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

/* The bytes are those from mem + at to mem + cap. */
struct packer {
	uint8_t *mem, *heap; /* heap: to be freed */
	size_t at, cap, max;
	int error; /* the first one */
};

/* Make room for n more bytes in front. */
static bool
pack_grow(struct packer *p, size_t n)
{
	size_t used = p->cap - p->at, cap = p->cap;
	uint8_t *mem;

	if (n > p->max || used > p->max - n)
		p->error = ERR_TOO_LARGE;
	if (p->error != 0)
		return false;
	while (cap - used < n)
		cap *= 2;
	mem = malloc(cap);
	if (mem == NULL) {
		p->error = ERR_NOMEM;
		return false;
	}
	memcpy(mem + cap - used, p->mem + p->at, used);
	free(p->heap);
	p->mem = p->heap = mem;
	p->at = cap - used;
	p->cap = cap;
	return true;
}

static void
pack_bytes(struct packer *p, const void *v, size_t n)
{
	if (n == 0 || (p->at < n && !pack_grow(p, n)))
		return;
	p->at -= n;
	memcpy(p->mem + p->at, v, n);
}

static void
pack_varint(struct packer *p, uint64_t v)
{
	uint8_t *at;
	unsigned n;

	if (p->at < 10 && !pack_grow(p, 10))
		return;
	n = v == 0 ? 1 : (unsigned)(70 - __builtin_clzll(v)) / 7;
	p->at -= n;
	for (at = p->mem + p->at; v >= 0x80; v >>= 7)
		*at++ = (uint8_t)(v | 0x80);
	*at = (uint8_t)v;
}

static void pack_message(struct packer *p, const ProtobufCMessage *m);

static uint64_t
zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

/* A number as its varint says it; the type is one of pack_known(). */
static uint64_t
pack_number(ProtobufCType type, const void *v)
{
	switch (type) {
	case PROTOBUF_C_TYPE_BOOL:
		return *(const protobuf_c_boolean *)v != 0;
	case PROTOBUF_C_TYPE_UINT32:
		return *(const uint32_t *)v;
	case PROTOBUF_C_TYPE_SINT32:
		return (uint32_t)zigzag(*(const int32_t *)v);
	case PROTOBUF_C_TYPE_SINT64:
		return zigzag(*(const int64_t *)v);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		return *(const uint64_t *)v;
	default: /* int32, enum: negative ones have ten bytes */
		return (uint64_t)(int64_t) * (const int32_t *)v;
	}
}

static size_t
pack_width(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_SINT64:
		return 8;
	default:
		return 4;
	}
}

/* One value with its tag, whatever it is. */
static void
pack_value(
    struct packer *p, const ProtobufCFieldDescriptor *f, const void *member)
{
	const ProtobufCBinaryData *bytes = member;
	const char *text;
	size_t end;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		memcpy(&text, member, sizeof(text));
		end = text == NULL ? 0 : strlen(text);
		pack_bytes(p, text, end);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		end = bytes->len;
		pack_bytes(p, bytes->data, end);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		end = p->cap - p->at;
		if (*(ProtobufCMessage *const *)member != NULL)
			pack_message(p, *(ProtobufCMessage *const *)member);
		end = p->cap - p->at - end;
		break;
	default:
		pack_varint(p, pack_number(f->type, member));
		pack_varint(p, (uint64_t)f->id << 3 | WIRE_VARINT);
		return;
	}
	pack_varint(p, end);
	pack_varint(p, (uint64_t)f->id << 3 | WIRE_BYTES);
}

static void
pack_repeated(struct packer *p, const ProtobufCFieldDescriptor *f,
    const void *member, size_t n)
{
	const uint8_t *values = *(const uint8_t *const *)member;
	size_t width = pack_width(f->type), end = p->cap - p->at;
	bool packed = (f->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0;

	if (n == 0)
		return;
	while (n-- > 0)
		if (packed)
			pack_varint(
			    p, pack_number(f->type, values + n * width));
		else
			pack_value(p, f, values + n * width);
	if (!packed)
		return;
	pack_varint(p, p->cap - p->at - end);
	pack_varint(p, (uint64_t)f->id << 3 | WIRE_BYTES);
}

/* Values that proto3 leaves out. */
static bool
pack_is_zero(const ProtobufCFieldDescriptor *f, const void *member)
{
	const char *text;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		memcpy(&text, member, sizeof(text));
		return text == NULL || *text == '\0';
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)member)->len == 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(ProtobufCMessage *const *)member == NULL;
	default:
		return pack_number(f->type, member) == 0;
	}
}

/* Our messages have no more than these; anything else is for protobuf-c. */
static bool
pack_known(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_ENUM:
	case PROTOBUF_C_TYPE_BOOL:
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		break;
	default:
		return false;
	}
	if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
		return false;
	return f->label == PROTOBUF_C_LABEL_NONE ||
	       f->label == PROTOBUF_C_LABEL_REPEATED ||
	       (f->label == PROTOBUF_C_LABEL_OPTIONAL &&
		   f->type == PROTOBUF_C_TYPE_MESSAGE);
}

static void
pack_other(struct packer *p, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);

	if (p->error != 0 || (p->at < n && !pack_grow(p, n)))
		return;
	p->at -= n;
	(void)protobuf_c_message_pack(m, p->mem + p->at);
}

static void
pack_message(struct packer *p, const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	for (unsigned i = 0; i < d->n_fields; i++)
		if (!pack_known(&d->fields[i])) {
			pack_other(p, m);
			return;
		}
	for (unsigned i = m->n_unknown_fields; i-- > 0;) {
		const ProtobufCMessageUnknownField *u = &m->unknown_fields[i];

		pack_bytes(p, u->data, u->len);
		pack_varint(p, (uint64_t)u->tag << 3 | u->wire_type);
	}
	for (unsigned i = d->n_fields; i-- > 0 && p->error == 0;) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const uint8_t *member = (const uint8_t *)m + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			pack_repeated(p, f, member,
			    *(const size_t *)(const void
				    *)((const uint8_t *)m +
				       f->quantifier_offset));
		else if (!pack_is_zero(f, member))
			pack_value(p, f, member);
	}
}

int
proto_pack(const ProtobufCMessage *message, struct buf *out)
{
	uint8_t first[PACK_FIRST];
	struct packer p = {
	    .mem = first, .at = PACK_FIRST, .cap = PACK_FIRST, .max = out->max};

	if (out->error == 0)
		pack_message(&p, message);
	if (p.error != 0)
		out->error = p.error;
	else
		(void)buf_add(out, p.mem + p.at, p.cap - p.at);
	free(p.heap);
	return out->error;
}
