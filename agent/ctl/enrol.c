/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment, see enrol.h. */
#include "agent/ctl/enrol.h"

#include <unistd.h>

#include "agent/ctl/line.h"
#include "common/version.h"

#include <sodium.h>

#define ENROL_CALLS 8 /* control thread, shipper, spare */

int
identity_channel(
    const struct identity *id, struct channel_client **ret, struct error *e)
{
	struct channel_client_options opt = {
	    .addresses = (const char *const *)id->addresses,
	    .n_addresses = id->n_addresses,
	    .ca_pem = id->ca_pem[0] == '\0' ? NULL : id->ca_pem,
	    .server_name = id->server_name,
	    .max_calls = ENROL_CALLS};

	return channel_client_new(&opt, ret, e);
}

static int
enrol_ask(const struct enrol_options *opt, const struct join_token *t,
    struct identity *id, struct channel_client *c, struct error *e)
{
	struct line line = {.identity = id, .transport = line_over_channel(c)};
	Hg__EnrolRequest ask;
	Hg__EnrolReply *reply = NULL;
	char secret[2 * JOIN_SECRET_LEN + 1], host[256] = "";
	struct arena a;
	int rc;

	hg__enrol_request__init(&ask);
	join_secret_text(t->secret, secret);
	(void)gethostname(host, sizeof(host) - 1);
	ask.token_id = t->token_id;
	ask.token_secret = secret;
	ask.public_key.data = id->public_key;
	ask.public_key.len = SIGN_PUBLIC_LEN;
	ask.hostname =
	    opt->name[0] != '\0' ? (char *)(uintptr_t)opt->name : host;
	ask.software_version = (char *)(uintptr_t)HEADGATE_VERSION;
	arena_init(&a, 4096, (size_t)1 << 20);
	rc = line_call(&line, HG__MESSAGE_TYPE__MSG_ENROL, &ask.base,
	    &hg__enrol_reply__descriptor, &a, (void **)&reply, e);
	if (rc == 0)
		rc = identity_enrolled(
		    id, reply->agent_id, reply->group, reply->region, e);
	sodium_memzero(secret, sizeof(secret));
	arena_release(&a);
	return rc;
}

int
enrol(const struct enrol_options *opt, struct identity *ret, struct error *e)
{
	struct channel_client *c = NULL;
	struct join_token t;
	int rc;

	rc = join_token_parse(str_of(opt->join_token), &t, e);
	if (rc != 0)
		return rc;
	rc = identity_from_token(&t, ret, e);
	if (rc != 0) {
		join_token_release(&t);
		return rc;
	}
	rc = identity_channel(ret, &c, e);
	if (rc == 0) {
		rc = channel_client_wait(c, opt->timeout_ms);
		if (rc != 0)
			err_set(e, rc, "cannot reach the control plane at %s",
			    ret->addresses[0]);
	}
	if (rc == 0)
		rc = enrol_ask(opt, &t, ret, c, e);
	if (rc == 0)
		rc = identity_save(opt->io, opt->data_dir, ret, e);
	if (rc != 0)
		identity_release(ret);
	channel_client_free(c);
	join_token_release(&t);
	return rc;
}
