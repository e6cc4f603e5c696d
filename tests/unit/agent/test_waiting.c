/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for rights beside a stream of small requests that take whatever
 * comes free: on the data path, with a budget that is always used up.
 */
#include "tests/unit/agent/scene.h"

#define BUDGET	INT64_C(20000000) /* nano-USD, nine small ones at once */
#define CLIENTS 24
#define NULL_COST                                                         \
	"{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":"  \
	"\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}]," \
	"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":0,"         \
	"\"total_tokens\":1}}"

static atomic_int served, refused, stop, hanging, go;
static char *large_body, *huge_body;

/* Cannot be shrunk; at worst 1 nano-USD x 1000 a byte and 2000 a token. */
static char *
body_of(size_t text, int tokens, const char *more)
{
	size_t cap = text + 256;
	char *b = malloc(cap);
	int n;

	ck_assert_ptr_nonnull(b);
	n = snprintf(b, cap,
	    "{\"model\":\"chat\",\"max_tokens\":%d,%s\"response_format\":"
	    "{\"type\":\"json_object\"},\"messages\":[{\"role\":\"user\","
	    "\"content\":\"",
	    tokens, more);
	memset(b + n, 'x', text);
	(void)snprintf(b + n + text, cap - (size_t)n - text, "\"}]}");
	return b;
}

static int
ask_for(const char *body, char *text, size_t cap)
{
	int fd = http_connect(rig.port);
	bool whole;

	http_post(fd, CHAT, RIG_KEY, "", body);
	if (http_recv(fd, text, cap, &whole) <= 0)
		text[0] = '\0';
	close(fd);
	return http_status(text);
}

/* A provider takes a while; "seed":7 marks one that hangs
 * until it may go on. */
static bool
serve(struct fake *f, int fd, const char *request, int n)
{
	(void)f;
	if (strstr(request, "\"seed\":7") != NULL) {
		atomic_store(&hanging, 1);
		UNTIL(atomic_load(&go));
	}
	usleep(80000U + 20000U * (unsigned)(n % 5)); /* not all at once */
	send_answer(fd, "200 OK", "", NULL_COST);
	return true;
}

static void *
small_client(void *arg)
{
	const char *body = arg;
	char text[4096];

	while (!atomic_load(&stop)) {
		bool ok = ask_for(body, text, sizeof(text)) == 200;

		atomic_fetch_add(ok ? &served : &refused, 1);
	}
	return NULL;
}

struct stream {
	pthread_t thread[CLIENTS];
	char *body;
};

static void
stream_begins(struct stream *s)
{
	atomic_store(&served, 0);
	atomic_store(&refused, 0);
	atomic_store(&stop, 0);
	s->body = body_of(10, 1000, "");
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(
		    pthread_create(&s->thread[i], NULL, small_client, s->body),
		    0);
	UNTIL(atomic_load(&served) > 2 * CLIENTS);
}

static void
stream_ends(struct stream *s)
{
	atomic_store(&stop, 1);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(s->thread[i], NULL);
	free(s->body);
}

static int64_t
waited(const char *outcome)
{
	return rig_metric(&rig, AM_LEASE_WAITS, outcome);
}

/* Needs more than half of the budget at once; the small ones are many enough
 * to leave less than one of theirs free. One worker, then two. */
START_TEST(test_large_beside_small)
{
	struct rig_config c = {.budget = BUDGET,
	    .lease_wait = 4000,
	    .n_workers = 1 + (unsigned)_i};
	struct stream s;
	char text[4096];

	large_body = body_of(12000, 100, "");
	begin_with(0, serve, &c);
	stream_begins(&s);
	for (int i = 0; i < 3; i++) {
		int status = ask_for(large_body, text, sizeof(text));

		ck_assert_msg(status == 200, "%d: %s", status, text);
	}
	stream_ends(&s);
	ck_assert_int_eq(atomic_load(&refused), 0);
	ck_assert_int_eq(waited("timeout"), 0);
	ck_assert_int_gt(waited("granted"), 2);
	end(); /* checks the books: no claim, nothing held */
	free(large_body);
}
END_TEST

/* It asks for more than the budget has: refused as exhausted, and the stream
 * goes on meanwhile and afterwards: nothing is kept for who is gone. */
START_TEST(test_never)
{
	struct rig_config c = {.budget = BUDGET, .n_workers = 1 + (unsigned)_i};
	struct stream s;
	char text[4096];

	huge_body = body_of(25000, 100, "");
	begin_with(0, serve, &c);
	stream_begins(&s);
	ck_assert_int_eq(ask_for(huge_body, text, sizeof(text)), 402);
	ck_assert_ptr_nonnull(strstr(text, "budget_exhausted"));
	stream_ends(&s);
	ck_assert_int_eq(atomic_load(&refused), 0);
	ck_assert_int_eq(waited("timeout"), 0);
	end();
	free(huge_body);
}
END_TEST

static void *
hanging_client(void *arg)
{
	char text[4096];

	(void)ask_for(arg, text, sizeof(text));
	return NULL;
}

static void *
hopeful_client(void *arg)
{
	char text[4096];

	while (!atomic_load(&stop))
		*(bool *)arg = ask_for(large_body, text, sizeof(text)) != 200;
	return NULL;
}

/* What they need is held by one that hangs: it might end any moment, so they
 * claim, one after the other, for as long as they wait. Of those behind them
 * nobody is refused for that. */
START_TEST(test_no_convoy)
{
	struct rig_config c = {.budget = BUDGET,
	    .lease_wait = 2000,
	    .n_workers = 1 + (unsigned)_i};
	char *hangs = body_of(9000, 100, "\"seed\":7,");
	pthread_t held, hopeful[4];
	bool failed[4] = {false};
	struct stream s;
	int before;

	atomic_store(&hanging, 0);
	atomic_store(&go, 0);
	large_body = body_of(12000, 100, "");
	begin_with(0, serve, &c);
	stream_begins(&s); /* so that it is known what requests cost */
	stream_ends(&s);
	ck_assert_int_eq(pthread_create(&held, NULL, hanging_client, hangs), 0);
	UNTIL(atomic_load(&hanging));
	stream_begins(&s);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&hopeful[i], NULL,
				     hopeful_client, &failed[i]),
		    0);
	for (int i = 0; i < 4; i++)
		UNTIL(waited("timeout") + waited("busy") > i);
	before = atomic_load(&served);
	UNTIL(atomic_load(&served) > before + CLIENTS);
	stream_ends(&s);
	for (int i = 0; i < 4; i++)
		pthread_join(hopeful[i], NULL);
	ck_assert_int_eq(atomic_load(&refused), 0);
	atomic_store(&go, 1);
	pthread_join(held, NULL);
	end();
	free(hangs);
	free(large_body);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/waiting");

	ADD(s, test_large_beside_small);
	ADD(s, test_never);
	ADD(s, test_no_convoy);
	return unit_run(s);
}
