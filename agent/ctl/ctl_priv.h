/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the control thread: shared by ctl.c, exchange.c,
 * push.c and recall.c. */
#ifndef AGENT_CTL_CTL_PRIV_H
#define AGENT_CTL_CTL_PRIV_H

#include <pthread.h>

#include "agent/ctl/ctl.h"

#define CTL_HINTS      64
#define CTL_PUSHES     8 /* opened, not applied yet; more are pulled */
#define CTL_PUSH_BYTES ((size_t)4 << 20)

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
	struct buf pushes[CTL_PUSHES]; /* SignedBundles, under lock */
	unsigned n_pushes;
	size_t push_bytes;
	uint64_t latest_version;
	bool hears_pushes; /* the last change came by push */
	int64_t behind_at; /* since when a newer version is known; 0 = none */
	struct config_ack acks[CONFIG_MAX_ACKS];
	/* any thread */
	_Atomic bool kicked, acks_wanted, pull_wanted, draining, stop;
	_Atomic bool ship_open; /* the control plane knows this boot */
	_Atomic(struct shipper *) shipper;
	int wake_fd;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* hints, pushes, the group key and the view */
	uint8_t group_key[GROUP_KEY_LEN];
	uint32_t group_key_id;
	bool has_group_key;
	struct ctl_view view;
};

/* A published LeaseRecall, verified. Subscriber's thread. */
void ctl_recall_heard(struct ctl *c, struct str payload);
/* Apply what was pushed. Control thread. */
bool ctl_has_pushes(struct ctl *c);
void ctl_apply_pushes(struct ctl *c);
void ctl_drop_pushes(struct ctl *c); /* at the end */
/* Obey the recalls that are due. */
void ctl_recall_obey(struct ctl *c, int64_t now);

/* Exchanges; 0 or ERR_*. */
int ctl_hello(struct ctl *c, struct error *e) MUST_CHECK;
int ctl_heartbeat(struct ctl *c, bool urgent, struct error *e) MUST_CHECK;
/* One part. ERR_END: nothing newer. 0 with *done when a bundle was applied. */
int ctl_pull_part(struct ctl *c, bool *done, struct error *e) MUST_CHECK;
/* Forget what was pulled so far. */
void ctl_pull_reset(struct pull *p);
void ctl_set_group_key(
    struct ctl *c, const ProtobufCBinaryData *key, uint32_t id);

#endif
