/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of connections. A connection is made when somebody needs one and
 * none is idle, up to the limit; broken ones are dropped when they are taken
 * or given back, so the pool heals by itself after the server was away.
 */
#include "controlplane/store/store.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "controlplane/store/store_internal.h"

static void
store_on_notice(void *ctx, const PGresult *res)
{
	(void)ctx;
	(void)res;
}

/* libpq texts may have several lines and end in a newline. */
static int
store_connect_failed(PGconn *pg, struct error *e)
{
	char text[400];
	size_t n;

	snprintf(text, sizeof(text), "%s", pg ? PQerrorMessage(pg) : "");
	n = strlen(text);
	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return err_set(e, ERR_UNAVAILABLE, "database: %s",
	    n > 0 ? text : "no memory for a connection");
}

static int
store_session(const struct store *s, PGconn *pg, struct error *e)
{
	PGresult *res;
	char sql[384];
	int rc = 0;

	snprintf(sql, sizeof(sql),
	    "SET TimeZone='UTC'; SET DateStyle='ISO,YMD'; "
	    "SET IntervalStyle='postgres'; SET bytea_output='hex'; "
	    "SET work_mem='32MB'; "
	    "SET statement_timeout=%lld; SET client_min_messages='error'; "
	    "SET idle_in_transaction_session_timeout=120000",
	    (long long)s->statement_ms);
	res = PQexec(pg, sql);
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		rc = store_connect_failed(pg, e);
	PQclear(res);
	return rc;
}

int
store_connect(
    const struct store *s, const char *role, PGconn **ret, struct error *e)
{
	char timeout[24], name[64];
	/* What comes after dbname cannot be set by the connection string. */
	const char *keys[] = {"connect_timeout", "keepalives_idle",
	    "keepalives_interval", "keepalives_count", "tcp_user_timeout",
	    "dbname", "application_name", "client_encoding", NULL};
	const char *vals[] = {
	    timeout, "10", "5", "3", "15000", s->conninfo, name, "UTF8", NULL};
	PGconn *pg;
	int rc;

	snprintf(timeout, sizeof(timeout), "%lld",
	    (long long)((s->connect_ms + 999) / 1000));
	snprintf(name, sizeof(name), "%s%s%s", s->application, *role ? " " : "",
	    role);
	pg = PQconnectdbParams(keys, vals, 1);
	if (pg == NULL || PQstatus(pg) != CONNECTION_OK) {
		rc = store_connect_failed(pg, e);
		PQfinish(pg);
		return rc;
	}
	PQsetNoticeReceiver(pg, store_on_notice, NULL);
	rc = store_session(s, pg, e);
	if (rc != 0) {
		PQfinish(pg);
		return rc;
	}
	*ret = pg;
	return 0;
}

static void
db_free(struct db *db)
{
	if (db == NULL)
		return;
	PQfinish(db->pg);
	free(db);
}

/* An idle connection says nothing; if its socket is readable the server has
 * gone away (or sent a notice). */
static bool
db_is_alive(struct db *db)
{
	struct pollfd p = {.fd = PQsocket(db->pg), .events = POLLIN};

	if (PQstatus(db->pg) != CONNECTION_OK || p.fd < 0)
		return false;
	if (poll(&p, 1, 0) <= 0)
		return true;
	if (PQconsumeInput(db->pg) == 0)
		return false;
	return PQstatus(db->pg) == CONNECTION_OK && poll(&p, 1, 0) <= 0;
}

static int
store_copy_options(struct store *s, const struct store_options *o)
{
	s->conninfo = strdup(o->conninfo ? o->conninfo : "");
	s->application =
	    strdup(o->application ? o->application : "headgate-control");
	s->max = o->max_conns ? o->max_conns : 16;
	s->take_ms = o->take_timeout_ms ? o->take_timeout_ms : 5000;
	s->statement_ms = o->statement_ms ? o->statement_ms : 30000;
	s->connect_ms = o->connect_ms ? o->connect_ms : 5000;
	return s->conninfo && s->application ? 0 : ERR_NOMEM;
}

int
store_open(const struct store_options *o, struct store **ret, struct error *e)
{
	pthread_condattr_t attr;
	struct store *s = calloc(1, sizeof(*s));
	struct db *db = NULL;
	int rc;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->freed, &attr);
	pthread_condattr_destroy(&attr);
	rc = store_copy_options(s, o);
	if (rc != 0) {
		err_set(e, rc, "no memory");
		goto out;
	}
	rc = store_take(s, &db, e);
	if (rc != 0)
		goto out;
	store_give(db);
	*ret = s;
	s = NULL;
out:
	store_close(s);
	return rc;
}

void
store_close(struct store *s)
{
	struct db *db;

	if (s == NULL)
		return;
	while ((db = s->idle) != NULL) {
		s->idle = db->next;
		db_free(db);
		s->n_open--;
	}
	MUST(s->n_open == 0);
	pthread_cond_destroy(&s->freed);
	pthread_mutex_destroy(&s->lock);
	free(s->conninfo);
	free(s->application);
	free(s);
}

static void
store_deadline(int64_t ms, struct timespec *ts)
{
	int64_t ns = clock_mono(clock_system()) + ms * NS_PER_MS;

	ts->tv_sec = (time_t)(ns / NS_PER_S);
	ts->tv_nsec = (long)(ns % NS_PER_S);
}

/* Pop an idle connection, or take a place for a new one (*ret NULL). */
static int
store_wait_place(struct store *s, struct db **ret)
{
	struct timespec ts;
	int rc = 0;

	store_deadline(s->take_ms, &ts);
	pthread_mutex_lock(&s->lock);
	s->n_takes++;
	s->n_waiting++;
	while (s->idle == NULL && s->n_open >= s->max && rc == 0)
		rc = pthread_cond_timedwait(&s->freed, &s->lock, &ts);
	s->n_waiting--;
	*ret = s->idle;
	if (s->idle != NULL) {
		s->idle = s->idle->next;
		s->n_idle--;
		rc = 0;
	} else if (s->n_open < s->max) {
		s->n_open++;
		rc = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return rc == 0 ? 0 : ERR_TIMEOUT;
}

static void
store_free_place(struct store *s, bool failed)
{
	pthread_mutex_lock(&s->lock);
	s->n_open--;
	s->n_failures += failed;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->lock);
}

static int
store_new_db(struct store *s, struct db **ret, struct error *e)
{
	struct db *db = calloc(1, sizeof(*db));
	int rc;

	if (db == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	db->store = s;
	rc = store_connect(s, "", &db->pg, e);
	if (rc != 0) {
		free(db);
		return rc;
	}
	pthread_mutex_lock(&s->lock);
	s->n_connects++;
	pthread_mutex_unlock(&s->lock);
	*ret = db;
	return 0;
}

int
store_take(struct store *s, struct db **ret, struct error *e)
{
	struct db *db;
	int rc;

	for (;;) {
		rc = store_wait_place(s, &db);
		if (rc != 0)
			return err_set(
			    e, rc, "no database connection came free in time");
		if (db == NULL)
			break;
		if (db_is_alive(db)) {
			*ret = db;
			return 0;
		}
		db_free(db);
		store_free_place(s, true);
	}
	rc = store_new_db(s, &db, e);
	if (rc != 0) {
		store_free_place(s, true);
		return rc;
	}
	*ret = db;
	return 0;
}

void
store_give(struct db *db)
{
	struct store *s;

	if (db == NULL)
		return;
	s = db->store;
	db_rollback(db);
	if (db->broken || PQtransactionStatus(db->pg) != PQTRANS_IDLE) {
		db_free(db);
		store_free_place(s, true);
		return;
	}
	pthread_mutex_lock(&s->lock);
	db->next = s->idle;
	s->idle = db;
	s->n_idle++;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->lock);
}

int
store_ping(struct store *s, struct error *e)
{
	struct db *db;
	int rc;

	rc = store_take(s, &db, e);
	if (rc != 0)
		return rc;
	rc = db_command(db, "SELECT 1", e);
	store_give(db);
	return rc;
}

void
store_stats(struct store *s, struct store_stats *ret)
{
	pthread_mutex_lock(&s->lock);
	ret->open = s->n_open;
	ret->idle = s->n_idle;
	ret->waiting = s->n_waiting;
	ret->takes = s->n_takes;
	ret->connects = s->n_connects;
	ret->failures = s->n_failures;
	pthread_mutex_unlock(&s->lock);
}
