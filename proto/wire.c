/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf wire format, reading side only. */
#include "proto/wire.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

void
wire_init(struct wire *w, struct str message)
{
	w->p = (const uint8_t *)message.p;
	w->end = w->p + message.len;
	w->bad = false;
}

static bool
wire_varint(struct wire *w, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 64 && w->p < w->end; shift += 7) {
		uint8_t c = *w->p++;

		if (shift == 63 && c > 1)
			break;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*ret = v;
			return true;
		}
	}
	w->bad = true;
	return false;
}

static bool
wire_fixed(struct wire *w, unsigned n, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned i;

	if ((size_t)(w->end - w->p) < n) {
		w->bad = true;
		return false;
	}
	for (i = 0; i < n; i++)
		v |= (uint64_t)w->p[i] << (8 * i);
	w->p += n;
	*ret = v;
	return true;
}

bool
wire_next(struct wire *w, struct wire_field *f)
{
	uint64_t tag, len;

	if (w->bad || w->p == w->end || !wire_varint(w, &tag))
		return false;
	*f = (struct wire_field){.number = (uint32_t)(tag >> 3)};
	if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
		w->bad = true;
		return false;
	}
	switch (tag & 7) {
	case WIRE_VARINT:
		return wire_varint(w, &f->value);
	case WIRE_FIXED64:
		return wire_fixed(w, 8, &f->value);
	case WIRE_FIXED32:
		return wire_fixed(w, 4, &f->value);
	case WIRE_BYTES:
		if (!wire_varint(w, &len))
			return false;
		if (len > (uint64_t)(w->end - w->p))
			break;
		f->is_bytes = true;
		f->bytes = str_make((const char *)w->p, (size_t)len);
		w->p += len;
		return true;
	default:
		break;
	}
	w->bad = true;
	return false;
}
