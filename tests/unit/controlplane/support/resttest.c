/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets with a deadline; the answer is read by its Content-Length, or until
 * the server closes.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "controlplane/metrics.h"
#include "controlplane/store/vault.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/controlplane/support/resttest.h"

void
resttest_open(struct resttest *t)
{
	static const uint8_t key[32] = {3};
	struct rest_options o = {.listen = "127.0.0.1:0", .threads = 3};
	struct db *db = NULL;
	struct error e;

	memset(t, 0, sizeof(*t));
	t->store = pgtest_open();
	t->vault = vault_new(key);
	t->metrics = control_metrics_new();
	o.store = t->store;
	o.vault = t->vault;
	o.metrics = t->metrics;
	ck_assert_msg(store_take(t->store, &db, &e) == 0, "%s", e.text);
	for (int r = ROLE_VIEWER; r <= ROLE_OWNER; r++) {
		const char *name = admin_role_name((enum admin_role)r);
		struct admin_token row;
		int rc = db_begin(db, &e);

		if (rc == 0)
			rc = admin_token_create(db, str_of(name),
			    (enum admin_role)r, 0, STR("test"), t->tokens[r],
			    &row, &e);
		if (rc == 0)
			rc = db_commit(db, &e);
		ck_assert_msg(rc == 0, "%s", e.text);
	}
	store_give(db);
	ck_assert_msg(rest_start(&o, &t->rest, &e) == 0, "%s", e.text);
	t->port = rest_port(t->rest);
}

void
resttest_close(struct resttest *t)
{
	rest_stop(t->rest);
	metric_set_free(t->metrics);
	vault_free(t->vault);
	pgtest_close(t->store);
}

static int
reply_connect(unsigned port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval tv = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/* Position after the head, 0 while it is not complete. */
static size_t
reply_head_end(const struct buf *b)
{
	const char *p = b->len ? memmem(b->data, b->len, "\r\n\r\n", 4) : NULL;

	return p ? (size_t)(p - b->data) + 4 : 0;
}

static bool
reply_complete(const struct buf *b, bool is_head)
{
	static const char name[] = "Content-Length: ";
	size_t end = reply_head_end(b);
	const char *p;

	if (end == 0)
		return false;
	if (is_head || (b->len > 12 && (memcmp(b->data + 9, "204", 3) == 0 ||
					   memcmp(b->data + 9, "304", 3) == 0)))
		return true;
	p = memmem(b->data, end, name, sizeof(name) - 1);
	return p != NULL &&
	       b->len >= end + strtoul(p + sizeof(name) - 1, NULL, 10);
}

void
reply_raw(unsigned port, const char *bytes, size_t n, struct reply *r)
{
	int fd = reply_connect(port);
	char chunk[16384];
	struct buf b;
	bool is_head = n > 5 && memcmp(bytes, "HEAD ", 5) == 0;
	size_t end, sent = 0;
	ssize_t got;

	memset(r, 0, sizeof(*r));
	buf_init(&b, (size_t)64 << 20);
	while (sent < n) {
		got = send(fd, bytes + sent, n - sent, MSG_NOSIGNAL);
		if (got <= 0)
			break;
		sent += (size_t)got;
	}
	while (!reply_complete(&b, is_head)) {
		got = recv(fd, chunk, sizeof(chunk), 0);
		if (got <= 0)
			break;
		ck_assert_int_eq(buf_add(&b, chunk, (size_t)got), 0);
	}
	(void)close(fd);
	end = reply_head_end(&b);
	if (end > 0) {
		r->status = (int)strtol(b.data + 9, NULL, 10);
		r->head = strndup(b.data, end);
		r->len = b.len - end;
		r->body = strndup(b.data + end, r->len);
		r->json = json_loads(r->body, 0, NULL);
	}
	buf_release(&b);
}

void
reply_as(struct resttest *t, const char *token, const char *method,
    const char *path, const char *headers, const char *body, struct reply *r)
{
	struct buf b;

	buf_init(&b, (size_t)64 << 20);
	(void)buf_addf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", method,
	    path, t->port);
	if (token[0] != '\0')
		(void)buf_addf(&b, "Authorization: Bearer %s\r\n", token);
	(void)buf_addz(&b, headers);
	if (body != NULL)
		(void)buf_addf(&b, "Content-Length: %zu\r\n", strlen(body));
	(void)buf_addz(&b, "\r\n");
	if (body != NULL)
		(void)buf_addz(&b, body);
	ck_assert_int_eq(buf_error(&b), 0);
	reply_raw(t->port, b.data, b.len, r);
	buf_release(&b);
}

void
reply_get(struct resttest *t, enum admin_role role, const char *method,
    const char *path, const char *headers, const char *body, struct reply *r)
{
	reply_as(t, t->tokens[role], method, path, headers, body, r);
}

void
reply_header(const struct reply *r, const char *name, char *dst, size_t cap)
{
	struct str line, tail = str_of(r->head), k, v;
	bool more;

	dst[0] = '\0';
	do {
		more = str_cut(tail, '\n', &line, &tail);
		if (str_cut(line, ':', &k, &v) && str_ieq(k, str_of(name))) {
			if (v.len > 0 && v.p[v.len - 1] == '\r')
				v.len--;
			v = str_trim(v);
			(void)snprintf(dst, cap, "%.*s", STR_ARG(v));
		}
	} while (more);
}

void
reply_free(struct reply *r)
{
	free(r->head);
	free(r->body);
	json_decref(r->json);
	memset(r, 0, sizeof(*r));
}

void
reply_expect(struct resttest *t, struct reply *r, const char *method,
    const char *path, const char *body, int status)
{
	reply_free(r);
	reply_get(t, ROLE_OWNER, method, path,
	    body ? "Content-Type: application/json\r\n" : "", body, r);
	ck_assert_msg(r->status == status, "%s %s: %d not %d: %s", method, path,
	    r->status, status, r->body ? r->body : "");
}

const char *
reply_text(const struct reply *r, const char *name)
{
	const char *z = json_string_value(json_object_get(r->json, name));

	return z ? z : "";
}

void
resttest_seed(struct resttest *t, struct reply *r)
{
	reply_expect(t, r, "POST", "/v1/apply",
	    "{\"message\":\"seed\",\"items\":["
	    "{\"kind\":\"tenant\",\"name\":\"acme\"},"
	    "{\"kind\":\"team\",\"name\":\"acme.a\"},"
	    "{\"kind\":\"project\",\"name\":\"acme.a.b\"},"
	    "{\"kind\":\"key\",\"name\":\"acme.a.b.k\",\"spec\":{\"value\":"
	    "\"" RESTTEST_KEY "\"}},"
	    "{\"kind\":\"key\",\"name\":\"acme.a.b.k2\"},"
	    "{\"kind\":\"provider\",\"name\":\"sim\",\"spec\":{\"dialect\":"
	    "\"openai\",\"base_url\":\"http://127.0.0.1:9/v1\","
	    "\"credential\":\"" RESTTEST_CREDENTIAL "\"}},"
	    "{\"kind\":\"model\",\"name\":\"m\",\"spec\":" RESTTEST_PRICED "},"
	    "{\"kind\":\"deployment\",\"name\":\"d\",\"spec\":{\"model\":"
	    "\"m\",\"provider\":\"sim\",\"upstream_model\":\"m1\"}},"
	    "{\"kind\":\"route\",\"name\":\"r\",\"spec\":{\"targets\":"
	    "[{\"deployment\":\"d\"}]}},"
	    "{\"kind\":\"budget\",\"name\":\"acme.m\",\"spec\":{\"scope\":"
	    "\"acme\",\"limit_usd\":\"5\",\"period\":\"month\"}},"
	    "{\"kind\":\"limit\",\"name\":\"acme.l\",\"spec\":{\"scope\":"
	    "\"acme\"}}]}",
	    200);
}

void
resttest_start(struct resttest *t, struct reply *r)
{
	memset(r, 0, sizeof(*r));
	resttest_open(t);
}

void
resttest_finish(struct resttest *t, struct reply *r)
{
	reply_free(r);
	resttest_close(t);
}
