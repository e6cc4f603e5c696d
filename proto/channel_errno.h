/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nng 1.5.2 must not hear from the kernel. It calls EPIPE NNG_ECLOSED,
 * which its listeners take for their own end: a caller that resets its
 * connection while the server computes the answer to its handshake would shut
 * the door for everybody, for good (channel_door.h). So in a program that links
 * this, sendmsg(2) and readv(2) say ECONNRESET instead, which means the same
 * and which nng takes for what it is.
 *
 * Under ASan and TSan the functions are the sanitizer's, and nothing is
 * changed.
 */
#ifndef PROTO_CHANNEL_ERRNO_H
#define PROTO_CHANNEL_ERRNO_H

#include <stdbool.h>

/* Links it; false under a sanitizer. Any thread. */
bool channel_errno_mended(void);

#endif
