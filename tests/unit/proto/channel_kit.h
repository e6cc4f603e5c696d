/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of proto/channel over TLS on this machine: a handler that sends the
 * request back, and a client. What fails ends the test.
 */
#ifndef TESTS_UNIT_PROTO_CHANNEL_KIT_H
#define TESTS_UNIT_PROTO_CHANNEL_KIT_H

#include <stdio.h>

#include "proto/channel.h"
#include "tests/unit/proto/tls_fixture.h"
#include "tests/unit/support/unit.h"

static inline void
kit_on_request(
    void *ctx, unsigned worker, struct str request, struct buf *reply)
{
	(void)ctx;
	(void)worker;
	buf_add_str(reply, request);
}

/* Of the server or relay at this port; dial_ms 0 = the usual. */
static inline struct channel_client *
kit_client(uint16_t port, int dial_ms)
{
	char address[64];
	const char *const addresses[] = {address};
	struct channel_client_options opt = {.addresses = addresses,
	    .n_addresses = 1,
	    .ca_pem = tls_ca,
	    .server_name = "control.test",
	    .max_calls = 4,
	    .dial_ms = dial_ms};
	struct channel_client *c = NULL;
	struct error e;
	int rc;

	snprintf(address, sizeof(address), "tls+tcp://127.0.0.1:%u", port);
	rc = channel_client_new(&opt, &c, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	return c;
}

#endif
