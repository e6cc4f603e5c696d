/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the control thread: shared by ctl.c, exchange.c and push.c. */
#ifndef AGENT_CTL_CTL_PRIV_H
#define AGENT_CTL_CTL_PRIV_H

#include <pthread.h>

#include "agent/ctl/ctl.h"

#define CTL_HINTS 64

struct pull {
	bool full; /* ask for a snapshot: a delta did not fit */
	uint64_t version, total;
	struct buf data;
	unsigned failures;
};

struct ctl {
	struct ctl_options opt;
	enum ctl_state state; /* control thread; view under lock */
	struct arena arena;   /* of one exchange */
	struct pull pull;
	/* monotonic ns */
	int64_t next_heartbeat, last_urgent, retry_at, last_contact;
	int64_t heartbeat_ns, started_at;
	int backoff_ms;
	bool subscribed, hello_done, restarting;
	bool lends_rates; /* the control plane has the feature */
	/* Recalls heard of (under lock), obeyed at hint_at: many agents hear
	 * of one at the same instant. hint_at 0 = none. */
	uint64_t hints[CTL_HINTS];
	unsigned n_hints;
	_Atomic int64_t hint_at;
	uint64_t latest_version;
	struct config_ack acks[CONFIG_MAX_ACKS];
	/* any thread */
	_Atomic bool kicked, acks_wanted, pull_wanted, draining, stop;
	_Atomic bool ship_open; /* the control plane knows this boot */
	_Atomic(struct shipper *) shipper;
	int wake_fd;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* the group key and the view */
	uint8_t group_key[GROUP_KEY_LEN];
	uint32_t group_key_id;
	bool has_group_key;
	struct ctl_view view;
};

/* A published message that is not a delta: true when it was one of ours. */
bool ctl_recall_heard(struct ctl *c, struct str message);
/* Obey the recalls that are due. */
void ctl_recall_obey(struct ctl *c, int64_t now);

/* Exchanges; 0 or ERR_*. */
int ctl_hello(struct ctl *c, struct error *e) MUST_CHECK;
int ctl_heartbeat(struct ctl *c, bool urgent, struct error *e) MUST_CHECK;
/* One part. ERR_END: nothing newer. 0 with *done when a bundle was applied. */
int ctl_pull_part(struct ctl *c, bool *done, struct error *e) MUST_CHECK;
void ctl_set_group_key(
    struct ctl *c, const ProtobufCBinaryData *key, uint32_t id);

#endif
