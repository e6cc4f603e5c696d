/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what the control plane reads beside targets and specs. The
 * first byte says what the rest is: h header lines, t a time, d a duration, c a
 * cursor, g a list of groups, p PEM text, s a secret, k a master key file, v a
 * sealed value, b a body. What is accepted has its form and reads back.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "controlplane/config/provider.h"
#include "controlplane/rest/call.h"
#include "controlplane/rest/strict.h"
#include "controlplane/store/store_usage.h"
#include "controlplane/store/vault.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What two servers could read as two requests does not pass. */
static void
fuzz_head(struct str in)
{
	static struct http_request r;
	struct str line, te, cl;
	struct error e;
	bool more = in.len > 0;
	uint64_t n;

	memset(&r, 0, sizeof(r));
	while (more && r.n_headers < HTTP_HEADERS_MAX) {
		struct http_pair *h = &r.headers[r.n_headers];

		more = str_cut(in, '\n', &line, &in);
		if (!str_cut(line, ':', &h->name, &h->value))
			continue;
		h->value = str_trim(h->value);
		r.n_headers++;
	}
	if (http_check_head(&r, &e) != 0)
		return;
	te = http_header(&r, "Transfer-Encoding");
	cl = http_header(&r, "Content-Length");
	MUST(te.p == NULL || (cl.p == NULL && str_ieq(te, STR("chunked"))));
	MUST(cl.p == NULL || str_to_u64(cl, &n) == 0);
	MUST(http_header_count(&r, "host") <= 1);
	MUST(http_header_count(&r, "authorization") <= 1);
}

static void
fuzz_time(struct str in)
{
	int64_t ns, back;
	char z[40];

	if (parse_time(in, &ns) != 0 || ns < 0)
		return;
	time_format(ns, 1, z);
	MUST(parse_time(str_of(z), &back) == 0);
	MUST(back / 1000000 == ns / 1000000);
	if (in.len == 10) {
		z[10] = '\0';
		MUST(str_eqz(in, z));
	}
}

static void
fuzz_duration(struct str in)
{
	int64_t ms;

	if (parse_duration(in, &ms) == 0)
		MUST(ms >= 0 && ms <= INT64_C(99999999) * 86400000);
}

/* A cursor that opens is the one that is made of its position. */
static void
fuzz_cursor(struct str in)
{
	static struct http_request r;
	static struct rest_call c;
	char pos[300];
	json_t *made;

	r.params[0] = (struct http_pair){STR("cursor"), in};
	r.n_params = 1;
	c.req = &r;
	if (cursor_read(&c, 'x', pos, sizeof(pos)) != 0 || pos[0] == '\0')
		return;
	MUST(str_is_utf8(str_of(pos)));
	made = cursor_json('x', str_of(pos));
	MUST(str_eqz(in, json_string_value(made)));
	json_decref(made);
	MUST(cursor_read(&c, 'y', pos, sizeof(pos)) != 0);
}

static void
fuzz_groups(struct str in)
{
	unsigned bits = 0;
	struct error e;

	if (report_group_parse(in, &bits, &e) == 0)
		MUST(bits < 1u << REPORT_N_GROUPS);
}

static void
fuzz_pem(struct str in)
{
	bool bad = false;
	json_t *v = pem_normalise(in, &bad), *again;
	struct str text;

	MUST(v == NULL || !bad);
	if (v == NULL)
		return;
	text = str_make(json_string_value(v), json_string_length(v));
	MUST(str_starts(text, STR("-----BEGIN ")));
	MUST(str_ends(text, STR("-----\n")));
	MUST(str_find(text, '\r') < 0 && str_find(text, '\0') < 0);
	again = pem_normalise(text, &bad);
	MUST(again != NULL && json_equal(v, again));
	json_decref(again);
	json_decref(v);
}

static void
fuzz_secret(struct str in)
{
	json_t *v = json_stringn(in.p, in.len), *one, *two;
	bool bad;
	size_t i;

	if (v == NULL)
		return; /* not UTF-8 */
	one = secret_normalise(v, &bad);
	MUST(one == NULL || !bad);
	for (i = 0; one != NULL && i < json_string_length(one); i++)
		MUST(json_string_value(one)[i] >= ' ' &&
		     json_string_value(one)[i] <= '~');
	if (one != NULL) {
		two = secret_normalise(one, &bad);
		MUST(two != NULL && json_equal(one, two));
		json_decref(two);
	}
	json_decref(one);
	json_decref(v);
}

static void
fuzz_key_file(struct str in)
{
	int fd = memfd_create("key", MFD_CLOEXEC);
	struct vault *v = NULL;
	struct error e;
	char path[64];

	MUST(fd >= 0 && fchmod(fd, 0600) == 0);
	MUST(write(fd, in.p, in.len) == (ssize_t)in.len);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (vault_open_file(path, false, &v, &e) == 0)
		MUST(in.len >= 43 && v != NULL);
	else
		MUST(v == NULL && e.text[0] != '\0');
	vault_free(v);
	close(fd);
}

static void
fuzz_sealed(struct str in)
{
	static const uint8_t key[32] = {7};
	struct vault *v = vault_new(key);
	struct error e;
	struct buf out, back;

	MUST(v != NULL);
	buf_init(&out, 1 << 20);
	buf_init(&back, 1 << 20);
	MUST(vault_unseal(v, VAULT_PKI, STR("a"), in, &out, &e) != 0);
	MUST(out.len == 0);
	MUST(vault_seal(v, VAULT_PKI, STR("a"), in, &out, &e) == 0);
	MUST(vault_unseal(v, VAULT_PKI, STR("a"), buf_str(&out), &back, &e) ==
	     0);
	MUST(str_eq(buf_str(&back), in));
	buf_clear(&back);
	MUST(vault_unseal(v, VAULT_PKI, STR("b"), buf_str(&out), &back, &e) !=
	     0);
	buf_release(&out);
	buf_release(&back);
	vault_free(v);
}

/* A body that passes is JSON to jansson too, and reading it gives what it
 * says or names the field. */
static void
fuzz_body(struct str in)
{
	static struct rest_call c;
	char labels[512];
	struct str s;
	int64_t n = 5;
	struct error e;

	if (strict_check(in, &e) != 0)
		return;
	c.body = json_loadb(in.p, in.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(c.body)) {
		json_decref(c.body);
		return;
	}
	if (body_string(&c, "s", 10, false, &s) == 0)
		MUST(s.len <= 10);
	else
		MUST(str_eqz(str_of(c.e.field), "/s"));
	if (body_int(&c, "n", -1, 9, &n) == 0)
		MUST(n >= -1 && n <= 9);
	if (body_labels(&c, "l", labels, sizeof(labels)) == 0) {
		json_t *l = json_loads(labels, 0, NULL);

		MUST(json_is_object(l) && json_object_size(l) <= 32);
		json_decref(l);
	}
	if (body_only(&c, "s n l") == 0)
		MUST(json_object_size(c.body) <= 3);
	json_decref(c.body);
	c.body = NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		char letter;
		void (*fn)(struct str in);
	} inputs[] = {{'h', fuzz_head}, {'t', fuzz_time}, {'d', fuzz_duration},
	    {'c', fuzz_cursor}, {'g', fuzz_groups}, {'p', fuzz_pem},
	    {'s', fuzz_secret}, {'k', fuzz_key_file}, {'v', fuzz_sealed},
	    {'b', fuzz_body}};

	if (size < 1 || size > 16384)
		return 0;
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
		if (data[0] == inputs[i].letter)
			inputs[i].fn(
			    str_make((const char *)data + 1, size - 1));
	return 0;
}
