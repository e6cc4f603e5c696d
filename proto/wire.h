/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the fields of one protobuf message without allocating, for the few
 * outer messages that carry megabytes (envelope, signed bundle): their bytes
 * are verified in place before anything is unpacked.
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

struct wire {
	const uint8_t *p, *end;
	bool bad; /* sticky: malformed */
};

struct wire_field {
	uint32_t number;
	bool is_bytes;	/* length-delimited: bytes is set, else value */
	uint64_t value; /* varint and fixed fields */
	struct str bytes;
};

void wire_init(struct wire *w, struct str message);
/* Next field; false at the end or when malformed (w->bad). Groups are
 * malformed. */
bool wire_next(struct wire *w, struct wire_field *f);

#endif
