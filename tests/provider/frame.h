/* SPDX-License-Identifier: Apache-2.0 */
/* Events of a stream as bytes on the wire: HTTP chunks, line ends, and all
 * that a reader of server-sent events must be able to bear. */
#ifndef TESTS_PROVIDER_FRAME_H
#define TESTS_PROVIDER_FRAME_H

#include "tests/provider/conn.h"

/* Send events as one chunk; nothing when there are none. last: the final
 * ones. */
void frame_events(struct conn *c, struct str events, bool last);
/* The end of the body. */
void frame_end(struct conn *c);
/* One frame of an AWS event stream with :message-type `kind` ("event" or
 * "exception") and the type name. */
void frame_binary(
    struct buf *out, const char *kind, const char *type, struct str payload);
/* The first 12 bytes of a frame, with a checksum that is right. */
void frame_prelude(struct buf *out, uint32_t total, uint32_t headers);

#endif
