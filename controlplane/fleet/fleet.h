/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agents' side of the control plane: the channel service (enrolment,
 * hello, pull, heartbeat, leases, usage), the configuration state that
 * bundles are made of, and the push of changes.
 *
 * Threads: the channel's workers run the handlers, each with a database
 * connection while it needs one; the store's listener thread follows commits
 * and publishes deltas; one thread writes what heartbeats said to the
 * database. Nothing here matters after a crash: all that does is in
 * PostgreSQL.
 */
#ifndef CONTROLPLANE_FLEET_FLEET_H
#define CONTROLPLANE_FLEET_FLEET_H

#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/rng.h"
#include "controlplane/store/pki.h"
#include "controlplane/store/store_fleet.h"
#include "controlplane/store/vault.h"

struct fleet;
struct metric_set;

struct fleet_options {
	struct store *store;
	const struct vault *vault;
	const struct pki *pki;
	struct clock *clock;	    /* NULL = system */
	struct rng *rng;	    /* NULL = system; used by several threads */
	const char *listen;	    /* REP, "127.0.0.1:7401", port 0 allowed */
	const char *listen_publish; /* PUB */
	/* What join tokens say, comma-separated; NULL or "" = the addresses
	 * listened on, with the bound ports. */
	const char *advertise, *advertise_publish;
	const char *tls_name;  /* agents check it; the first of a comma list */
	unsigned n_workers;    /* 0 = 8 */
	uint32_t heartbeat_ms; /* told to agents; 0 = 1000 */
	struct metric_set *metrics; /* of controlplane/metrics.h; NULL ok */
};

/* Load the configuration, start threads and listen. */
int fleet_new(const struct fleet_options *o, struct fleet **ret,
    struct error *e) MUST_CHECK;
/* Stops listening first; handlers that run are waited for. NULL is fine. */
void fleet_free(struct fleet *f);

uint16_t fleet_port(const struct fleet *f);
uint16_t fleet_publish_port(const struct fleet *f);

/* Make a join token in db's transaction: sets j->id, stores it with a digest
 * of its secret, appends its text. Fits rest_join_fn (ctx = the fleet). */
int fleet_join_create(void *fleet, struct db *db, struct join_row *j,
    struct buf *text, struct error *e) MUST_CHECK;

/* Version that this replica has loaded and serves. Any thread. */
uint64_t fleet_version(const struct fleet *f);

struct fleet_stats {
	uint64_t version;
	unsigned connections;	    /* of agents now */
	unsigned stuck;		    /* dead, and never freed */
	unsigned reopened;	    /* dead listeners replaced, since start */
	unsigned agents;	    /* heard of within 5 s */
	unsigned lagging;	    /* of those, not on `version` */
	uint64_t requests, refused; /* since start */
	uint64_t enrolled, published, snapshots, deltas;
	uint64_t usage_batches, usage_records, usage_slowed;
	uint64_t grants; /* leases given or enlarged */
	int64_t granted; /* their sum, nano-USD */
};
void fleet_stats(struct fleet *f, struct fleet_stats *ret);

#endif
