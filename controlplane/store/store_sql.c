/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prepared statements: parameters in, rows out. A statement is prepared on a
 * connection when it is first used there and found again by its address.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "controlplane/store/store.h"
#include "controlplane/store/store_internal.h"

#define OID_INT8 20
#define OID_TEXT 25

/* ---- parameters ---- */

struct db_params {
	int n;
	const char *vals[DB_ARGS_MAX];
	int lens[DB_ARGS_MAX], formats[DB_ARGS_MAX];
	char *owned[DB_ARGS_MAX]; /* malloc'ed copies, NULL = none */
	char num[DB_ARGS_MAX][80];
};

static void
db_params_release(struct db_params *p)
{
	for (int i = 0; i < p->n; i++)
		free(p->owned[i]);
}

static void
db_param_time(char dst[80], int64_t ns)
{
	int64_t s = ns / NS_PER_S, us = ns % NS_PER_S;
	struct tm tm;
	time_t t;

	if (us < 0) {
		us += NS_PER_S;
		s--;
	}
	us /= 1000;
	t = (time_t)s;
	gmtime_r(&t, &tm);
	snprintf(dst, 80, "%04d-%02d-%02d %02d:%02d:%02d.%06d+00",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec, (int)us);
}

static void
db_put32(char **at, uint32_t v)
{
	v = htobe32(v);
	memcpy(*at, &v, sizeof(v));
	*at += sizeof(v);
}

/* The binary form of a one-dimensional array without NULLs. */
static char *
db_param_array(const struct db_val *v, int *len)
{
	const int64_t *ints = v->v.a.p;
	const struct str *strs = v->v.a.p;
	bool is_int = v->type == DB_I64_ARRAY;
	size_t n = v->v.a.n, size = 12;
	char *data, *at;

	if (n > 0)
		size += 8;
	for (size_t i = 0; i < n; i++)
		size += 4 + (is_int ? 8 : strs[i].len);
	if (n > INT32_MAX / 8 || size > INT32_MAX)
		return NULL;
	at = data = malloc(size);
	if (data == NULL)
		return NULL;
	db_put32(&at, n > 0);
	db_put32(&at, 0);
	db_put32(&at, is_int ? OID_INT8 : OID_TEXT);
	if (n > 0) {
		db_put32(&at, (uint32_t)n);
		db_put32(&at, 1);
	}
	for (size_t i = 0; i < n; i++) {
		db_put32(&at, is_int ? 8 : (uint32_t)strs[i].len);
		if (is_int) {
			uint64_t be = htobe64((uint64_t)ints[i]);

			memcpy(at, &be, 8);
			at += 8;
		} else if (strs[i].len > 0) {
			memcpy(at, strs[i].p, strs[i].len);
			at += strs[i].len;
		}
	}
	*len = (int)size;
	return data;
}

static int
db_param_str(struct db_params *p, int i, struct str s, struct error *e)
{
	if (s.len > 0 && memchr(s.p, 0, s.len) != NULL)
		return err_set(e, ERR_INVALID, "a text holds a zero byte");
	p->owned[i] = malloc(s.len + 1);
	if (p->owned[i] == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	if (s.len > 0)
		memcpy(p->owned[i], s.p, s.len);
	p->owned[i][s.len] = '\0';
	p->vals[i] = p->owned[i];
	return 0;
}

static int
db_param(struct db_params *p, int i, const struct db_val *v, struct error *e)
{
	p->vals[i] = p->num[i];
	switch (v->type) {
	case DB_NULL:
		p->vals[i] = NULL;
		break;
	case DB_I64:
		snprintf(
		    p->num[i], sizeof(p->num[i]), "%lld", (long long)v->v.i);
		break;
	case DB_BOOL:
		p->vals[i] = v->v.b ? "t" : "f";
		break;
	case DB_TIME:
		db_param_time(p->num[i], v->v.i);
		break;
	case DB_STR:
		return db_param_str(p, i, v->v.s, e);
	case DB_BYTES:
		if (v->v.s.len > INT32_MAX)
			return err_set(e, ERR_TOO_LARGE, "value too large");
		if (v->v.s.len > 0)
			p->vals[i] = v->v.s.p;
		p->lens[i] = (int)v->v.s.len;
		p->formats[i] = 1;
		break;
	case DB_I64_ARRAY:
	case DB_STR_ARRAY:
		p->owned[i] = db_param_array(v, &p->lens[i]);
		if (p->owned[i] == NULL)
			return err_set(e, ERR_NOMEM, "no memory");
		p->vals[i] = p->owned[i];
		p->formats[i] = 1;
		break;
	}
	return 0;
}

static int
db_params_make(struct db_params *p, const struct db_val *args, size_t n_args,
    struct error *e)
{
	int rc = 0;

	MUST(n_args >= 1 && n_args - 1 <= DB_ARGS_MAX);
	p->n = (int)n_args - 1;
	for (int i = 0; i < p->n; i++) {
		p->owned[i] = NULL;
		p->lens[i] = p->formats[i] = 0;
	}
	for (int i = 0; i < p->n && rc == 0; i++)
		rc = db_param(p, i, &args[i + 1], e);
	return rc;
}

/* ---- running ---- */

static unsigned
db_slot(const struct db_stmt *st)
{
	return (unsigned)((uintptr_t)st >> 3) & (DB_STMT_SLOTS - 1);
}

/* Too many statements: start over. */
static int
db_forget(struct db *db, struct error *e)
{
	int rc;

	rc = db_command(db, "DEALLOCATE ALL", e);
	if (rc == 0) {
		memset(db->stmts, 0, sizeof(db->stmts));
		db->n_stmts = 0;
	}
	return rc;
}

/* The slot of st, prepared if it was not. */
static int
db_prepare(struct db *db, const struct db_stmt *st, int *slot, struct error *e)
{
	unsigned at = db_slot(st);
	PGresult *res;
	char name[16];
	int rc = 0;

	while (db->stmts[at] != NULL && db->stmts[at] != st)
		at = (at + 1) & (DB_STMT_SLOTS - 1);
	*slot = (int)at;
	if (db->stmts[at] == st)
		return 0;
	if (db->n_stmts >= DB_STMT_SLOTS / 2) {
		rc = db_forget(db, e);
		if (rc != 0)
			return rc;
		at = db_slot(st);
		*slot = (int)at;
	}
	snprintf(name, sizeof(name), "s%u", at);
	res = PQprepare(db->pg, name, st->sql, 0, NULL);
	if (PQresultStatus(res) == PGRES_COMMAND_OK) {
		db->stmts[at] = st;
		db->n_stmts++;
	} else {
		rc = db_fail(db, res, "prepare failed", e);
	}
	PQclear(res);
	return rc;
}

static int
db_run(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, PGresult **ret, struct error *e)
{
	struct db_params p;
	ExecStatusType status;
	PGresult *res = NULL;
	char name[16];
	int rc, slot;

	if (db->broken)
		return err_set(e, ERR_UNAVAILABLE, "database: connection lost");
	rc = db_params_make(&p, args, n_args, e);
	if (rc == 0)
		rc = db_prepare(db, st, &slot, e);
	if (rc != 0)
		goto out;
	snprintf(name, sizeof(name), "s%u", (unsigned)slot);
	res = PQexecPrepared(db->pg, name, p.n, p.vals, p.lens, p.formats, 0);
	status = PQresultStatus(res);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		rc = db_fail(db, res, "statement failed", e);
		goto out;
	}
	*ret = res;
	res = NULL;
out:
	PQclear(res);
	db_params_release(&p);
	return rc;
}

int
db_exec(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, int64_t *n_rows, struct error *e)
{
	PGresult *res = NULL;
	int rc;

	rc = db_run(db, st, args, n_args, &res, e);
	if (rc == 0 && n_rows != NULL &&
	    str_to_i64(str_of(PQcmdTuples(res)), n_rows) != 0)
		*n_rows = 0;
	PQclear(res);
	return rc;
}

int
db_query(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, struct db_rows **ret, struct error *e)
{
	struct db_rows *r = malloc(sizeof(*r));
	int rc;

	if (r == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	r->res = NULL;
	rc = db_run(db, st, args, n_args, &r->res, e);
	if (rc != 0) {
		free(r);
		return rc;
	}
	*ret = r;
	return 0;
}

int
db_query_one(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, struct db_rows **ret, struct error *e)
{
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, st, args, n_args, &r, e);
	if (rc == 0 && db_rows_count(r) != 1) {
		db_rows_free(r);
		return err_set(e, ERR_NOT_FOUND, "not found");
	}
	if (rc == 0)
		*ret = r;
	return rc;
}
