/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the files of an agent's data folder, but for the journal's
 * segments. The first byte says which: i identity, a acks ('A': with a good
 * checksum), e epoch, m machine, k disk key, b a cached bundle, c the plain
 * text of one. What loads is what is saved again; what does not load leaves
 * nothing behind; an epoch only ever rises.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config/cache.h"
#include "agent/ctl/identity.h"
#include "agent/journal/acks.h"
#include "agent/journal/crc32c.h"
#include "agent/journal/machine.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_identity(struct memory_file *m)
{
	struct identity one, two;
	struct error e;
	unsigned i;
	int rc = identity_load(&m->io, "d", &one, &e);

	MUST(rc == 0 || rc == ERR_CORRUPT || rc == ERR_INVALID ||
	     rc == ERR_TOO_LARGE);
	if (rc != 0) {
		MUST(one.group == NULL && one.n_addresses == 0);
		return;
	}
	MUST(identity_save(&m->io, "d", &one, &e) == 0);
	MUST(identity_load(&m->io, "d", &two, &e) == 0);
	MUST(strcmp(one.agent_id, two.agent_id) == 0);
	MUST(strcmp(one.group, two.group) == 0);
	MUST(strcmp(one.region, two.region) == 0);
	MUST(strcmp(one.server_name, two.server_name) == 0);
	MUST(strcmp(one.ca_pem, two.ca_pem) == 0);
	MUST(one.n_addresses == two.n_addresses);
	for (i = 0; i < one.n_addresses; i++)
		MUST(strcmp(one.addresses[i], two.addresses[i]) == 0);
	MUST(one.n_publish == two.n_publish);
	MUST(memcmp(one.public_key, two.public_key, SIGN_PUBLIC_LEN) == 0);
	identity_release(&one);
	identity_release(&two);
}

/* What was saved once is saved in the same way again. */
static void
fuzz_acks(struct memory_file *m, bool mend)
{
	struct acks *a;
	struct buf first;

	if (mend)
		(void)buf_addf(&m->file, "crc %u\n",
		    (unsigned)crc32c(0, m->file.data, m->file.len));
	buf_init(&first, (size_t)4 << 20);
	a = acks_load(&m->io, "d");
	MUST(a != NULL && acks_save(a, &m->io, "d") == 0);
	acks_free(a);
	(void)buf_add_str(&first, buf_str(&m->file));
	a = acks_load(&m->io, "d");
	MUST(a != NULL && acks_save(a, &m->io, "d") == 0);
	MUST(str_eq(buf_str(&first), buf_str(&m->file)));
	acks_put(a, 7, 1, UINT64_MAX);
	MUST(acks_get(a, 7, 1) == UINT64_MAX);
	acks_put(a, 7, 1, 3); /* marks only rise */
	MUST(acks_get(a, 7, 1) == UINT64_MAX);
	acks_free(a);
	buf_release(&first);
}

static void
fuzz_epoch(struct memory_file *m)
{
	uint64_t one = 0, two = 0;
	struct error e;
	int rc = epoch_next(&m->io, "d", &one, &e);

	if (rc != 0) {
		MUST(rc == ERR_CORRUPT || rc == ERR_TOO_LARGE);
		MUST(one == 0 && m->written.len == 0);
		return;
	}
	MUST(one > 0);
	rc = epoch_next(&m->io, "d", &two, &e);
	MUST(one == UINT64_MAX ? rc == ERR_CORRUPT : two == one + 1);
}

/* A file that says nothing means that records may be lost. */
static void
fuzz_machine(struct memory_file *m)
{
	struct machine one;
	bool lost, clean;

	machine_load(&one, &m->io, "d");
	if (one.text.len == 0)
		MUST(machine_may_lack(&one, "here", 1));
	machine_begin(&one, "here");
	machine_lost(&one, 1);
	machine_clean(&one, 2);
	MUST(machine_save(&one, &m->io, "d") == 0);
	machine_release(&one);
	machine_load(&one, &m->io, "d");
	lost = machine_may_lack(&one, "here", 1);
	clean = machine_may_lack(&one, "there", 2);
	MUST(lost && !clean && !machine_may_lack(&one, "here", 3) &&
	     machine_may_lack(&one, "there", 3));
	machine_release(&one);
}

static void
fuzz_disk_key(struct memory_file *m)
{
	uint8_t key[DISK_KEY_LEN];
	size_t len = m->file.len;
	struct error e;
	int rc = disk_key_get(&m->io, "d", "", rng_system(), key, &e);

	MUST((rc == 0) == (len == DISK_KEY_LEN));
	MUST(rc != 0 || memcmp(key, m->file.data, DISK_KEY_LEN) == 0);
}

#define HEAD  16
#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

/* The text as a file that was sealed with the key. */
static void
seal(const uint8_t key[DISK_KEY_LEN], struct str plain, struct buf *out)
{
	static const uint8_t head[HEAD + NONCE] = "HGBC1\n";
	uint8_t *sealed =
	    malloc(plain.len + crypto_aead_xchacha20poly1305_ietf_ABYTES);
	unsigned long long n = 0;

	MUST(sealed != NULL);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, &n,
	    (const uint8_t *)plain.p, plain.len, head, HEAD, NULL, head + HEAD,
	    key);
	(void)buf_add(out, head, sizeof(head));
	(void)buf_add(out, sealed, (size_t)n);
	free(sealed);
}

static void
fuzz_cache(struct str in, bool sealed)
{
	static const uint8_t key[DISK_KEY_LEN] = {1};
	struct item_state *one = NULL, *two = NULL;
	struct buf file;
	struct error e;
	int rc;

	buf_init(&file, (size_t)4 << 20);
	if (!sealed) {
		MUST(cache_open(key, in, &one, &e) != 0 && one == NULL);
		return;
	}
	seal(key, in, &file);
	rc = cache_open(key, buf_str(&file), &one, &e);
	MUST((rc == 0) == (one != NULL));
	buf_clear(&file);
	if (rc == 0) {
		MUST(cache_seal(key, rng_system(), one, &file) == 0);
		MUST(cache_open(key, buf_str(&file), &two, &e) == 0);
		MUST(one->version == two->version && one->n == two->n);
		MUST(memcmp(one->hash, two->hash, STATE_HASH_LEN) == 0);
		file.data[file.len / 2] ^= 1;
		items_unref(two);
		two = NULL;
		MUST(cache_open(key, buf_str(&file), &two, &e) != 0);
	}
	items_unref(one);
	buf_release(&file);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory_file m;
	struct str in;

	if (size < 1 || size > 65536)
		return 0;
	in = str_make((const char *)data + 1, size - 1);
	memory_file_init(&m, in);
	if (data[0] == 'i')
		fuzz_identity(&m);
	else if (data[0] == 'a' || data[0] == 'A')
		fuzz_acks(&m, data[0] == 'A');
	else if (data[0] == 'e')
		fuzz_epoch(&m);
	else if (data[0] == 'm')
		fuzz_machine(&m);
	else if (data[0] == 'k')
		fuzz_disk_key(&m);
	else
		fuzz_cache(in, data[0] == 'c');
	memory_file_release(&m);
	return 0;
}
