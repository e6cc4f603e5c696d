/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serving agent whose workers run out of memory: the n-th allocation of a
 * worker after the request was sent. The client gets a whole answer or a
 * closed connection, the next request is served as if nothing had been, and at
 * the end nothing is reserved, held or leaked (rig_stop checks the books).
 */
#include "tests/unit/agent/scene.h"

#include "tests/reliability/alloc/alloc.h"

#define ROUNDS_MAX 400
#define MESSAGES   "/v1/messages"
#define CLAUDE                                                            \
	"{\"model\":\"chat\",\"max_tokens\":100,\"messages\":[{\"role\":" \
	"\"user\",\"content\":\"hello there\"}]}"

/* One request; its status, 0 when the connection was closed instead. */
static int
request(const char *path, const char *body)
{
	int fd = http_connect(rig.port);
	long n;

	http_post(fd, path, RIG_KEY, "", body);
	n = http_recv(fd, answer, sizeof(answer), &clean);
	close(fd);
	return n > 0 ? http_status(answer) : 0;
}

static void
serve(struct alloc *a, fake_fn *fn, const char *path, const char *body)
{
	struct rig_config c = {.budget = 1000000000000};

	for (int engine = 0; engine < 2; engine++) {
		begin_with(engine, fn, &c);
		if (request(path, body) != 200)
			alloc_bad(a, "healthy, yet %s", answer);
		for (unsigned long n = 1; n <= ROUNDS_MAX; n++) {
			int status;
			bool hit;

			oom_arm(n, "worker-");
			status = request(path, body);
			hit = oom_hit();
			if (status != 200 && !hit)
				alloc_bad(a, "round %lu: %d", n, status);
			if (status == 200 && !clean && !hit)
				alloc_bad(a, "round %lu: cut short", n);
			if (!hit)
				break;
			a->failures++;
			status = request(path, body);
			if (status != 200)
				alloc_bad(a, "after round %lu: %d %.80s", n,
				    status, answer);
		}
		end();
	}
}

void
alloc_serve_plain(struct alloc *a)
{
	serve(a, serve_plain, CHAT, BODY);
}

void
alloc_serve_stream(struct alloc *a)
{
	serve(a, serve_stream, CHAT, STREAM);
}

void
alloc_serve_translated(struct alloc *a)
{
	serve(a, serve_plain, MESSAGES, CLAUDE);
}
