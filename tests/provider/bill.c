/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle bill; see bill.h. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/provider/bill.h"

/* All that dialect and op of a row can be. */
#define BILL_WORDS                                                         \
	"openai", "azure", "mistral", "vllm", "deepseek", "anthropic",     \
	    "gemini", "vertex", "bedrock", "cohere", "ollama", "chat",     \
	    "responses", "messages", "generate", "converse", "embeddings", \
	    "completions", "moderations", "images", "image_edits",         \
	    "transcriptions", "translations", "speech", "rerank"

struct bill {
	const struct catalog *catalog;
	pthread_mutex_t lock; /* all below */
	bool keep_rows;
	struct bill_row *rows;
	size_t n_rows, cap_rows;
	int fd; /* record file or -1 */
	int64_t n_billed, n_disconnected, n_streamed;
	int64_t cost, tokens[SIM_CLASSES];
};

static void
bill_render_row(const struct bill_row *r, size_t index, struct buf *out)
{
	bool first = true;

	buf_addf(out, "{\"index\":%zu,\"request_id\":", index);
	buf_add_json(out, str_of(r->request_id));
	buf_addf(out, ",\"attempt\":%u,\"model\":", r->attempt);
	buf_add_json(out, str_of(r->model->id));
	buf_addf(out, ",\"dialect\":\"%s\",\"op\":\"%s\",\"tier\":\"%s\"",
	    r->dialect, r->op, r->tier);
	buf_addz(out, ",\"tokens\":{");
	for (int c = 0; c < SIM_CLASSES; c++) {
		if (r->tokens[c] == 0)
			continue;
		buf_addf(out, "%s\"%s\":%lld", first ? "" : ",",
		    sim_class_names[c], (long long)r->tokens[c]);
		first = false;
	}
	buf_addf(out,
	    "},\"cost_nanousd\":%lld,\"streamed\":%s,\"disconnected\":%s,"
	    "\"status\":%u,\"started_at_ms\":%lld,\"ended_at_ms\":%lld,"
	    "\"events\":%u,\"fault\":\"%s\"}",
	    (long long)r->cost, r->streamed ? "true" : "false",
	    r->disconnected ? "true" : "false", r->status,
	    (long long)r->started_at_ms, (long long)r->ended_at_ms, r->events,
	    fault_name((enum fault)r->fault));
}

static void
bill_write(struct bill *b, const struct bill_row *row, size_t index)
{
	struct buf line;

	if (b->fd < 0)
		return;
	buf_init(&line, 4096);
	bill_render_row(row, index, &line);
	buf_addc(&line, '\n');
	if (buf_error(&line) != 0 ||
	    write(b->fd, line.data, line.len) != (ssize_t)line.len) {
		(void)fprintf(stderr,
		    "headgate-provider: ERROR: cannot write "
		    "the record file: %s\n",
		    strerror(errno));
		abort();
	}
	buf_release(&line);
}

/* Under the lock. */
static void
bill_count(struct bill *b, const struct bill_row *row)
{
	b->n_billed++;
	b->n_disconnected += row->disconnected;
	b->n_streamed += row->streamed;
	b->cost += row->cost;
	for (int c = 0; c < SIM_CLASSES; c++)
		b->tokens[c] += row->tokens[c];
	if (!b->keep_rows)
		return;
	if (b->n_rows == b->cap_rows) {
		size_t cap = b->cap_rows ? b->cap_rows * 2 : 4096;
		struct bill_row *rows = realloc(b->rows, cap * sizeof(*rows));

		MUST(rows != NULL);
		b->rows = rows;
		b->cap_rows = cap;
	}
	b->rows[b->n_rows++] = *row;
}

void
bill_add(struct bill *b, struct bill_row *row)
{
	row->cost = sim_price_cost(&row->model->prices, row->tokens, row->tier,
	    row->started_at_ms / 1000);
	pthread_mutex_lock(&b->lock);
	bill_write(b, row, b->n_rows);
	bill_count(b, row);
	pthread_mutex_unlock(&b->lock);
}

/* The constant that a text of the record stands for. */
static const char *
bill_word(json_t *v, const char *name)
{
	const char *text = json_string_value(json_object_get(v, name));
	static const char *const words[] = {BILL_WORDS};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (text != NULL && strcmp(text, words[i]) == 0)
			return words[i];
	}
	return "";
}

static int64_t
bill_member(json_t *v, const char *name)
{
	return json_integer_value(json_object_get(v, name));
}

/* One line of the record file; false when it is torn or not ours. */
static bool
bill_parse_row(struct bill *b, const char *text, size_t len)
{
	json_t *v = json_loadb(text, len, 0, NULL);
	const char *id = json_string_value(json_object_get(v, "request_id"));
	const char *model = json_string_value(json_object_get(v, "model"));
	json_t *tokens = json_object_get(v, "tokens");
	struct bill_row row = {0};
	bool ok = false;

	if (id == NULL || model == NULL ||
	    str_copy(str_of(id), row.request_id, sizeof(row.request_id)) != 0)
		goto out;
	row.model = catalog_find(b->catalog, str_of(model));
	if (row.model == NULL)
		goto out;
	for (int c = 0; c < SIM_CLASSES; c++)
		row.tokens[c] = bill_member(tokens, sim_class_names[c]);
	row.dialect = bill_word(v, "dialect");
	row.op = bill_word(v, "op");
	(void)!str_copy(str_of(json_string_value(json_object_get(v, "tier"))),
	    row.tier, sizeof(row.tier));
	row.attempt = (uint32_t)bill_member(v, "attempt");
	row.status = (uint16_t)bill_member(v, "status");
	row.events = (uint32_t)bill_member(v, "events");
	row.cost = bill_member(v, "cost_nanousd");
	row.started_at_ms = bill_member(v, "started_at_ms");
	row.ended_at_ms = bill_member(v, "ended_at_ms");
	row.streamed = json_is_true(json_object_get(v, "streamed"));
	row.disconnected = json_is_true(json_object_get(v, "disconnected"));
	bill_count(b, &row);
	ok = true;
out:
	json_decref(v);
	return ok;
}

static int
bill_open_record(struct bill *b, const char *path, struct error *e)
{
	FILE *f;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	off_t good = 0;

	b->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (b->fd < 0)
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	f = fopen(path, "re");
	if (f == NULL)
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	while ((n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] != '\n' || !bill_parse_row(b, line, (size_t)n))
			break;
		good += n;
	}
	free(line);
	(void)fclose(f);
	if (ftruncate(b->fd, good) != 0)
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	return 0;
}

int
bill_new(const struct catalog *c, const char *record, bool keep_rows,
    struct bill **ret, struct error *e)
{
	struct bill *b = calloc(1, sizeof(*b));
	int rc = 0;

	if (b == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	b->catalog = c;
	b->fd = -1;
	b->keep_rows = keep_rows;
	pthread_mutex_init(&b->lock, NULL);
	if (record != NULL && record[0] != '\0')
		rc = bill_open_record(b, record, e);
	if (rc != 0) {
		bill_free(b);
		return rc;
	}
	*ret = b;
	return 0;
}

void
bill_free(struct bill *b)
{
	if (b == NULL)
		return;
	if (b->fd >= 0)
		(void)close(b->fd);
	pthread_mutex_destroy(&b->lock);
	free(b->rows);
	free(b);
}

void
bill_render(struct bill *b, size_t after, size_t limit, struct buf *out)
{
	size_t end;

	pthread_mutex_lock(&b->lock);
	if (after > b->n_rows)
		after = b->n_rows;
	end = b->n_rows - after < limit ? b->n_rows : after + limit;
	buf_addz(out, "{\"rows\":[");
	for (size_t i = after; i < end; i++) {
		if (i > after)
			buf_addz(out, ",\n");
		bill_render_row(&b->rows[i], i, out);
	}
	buf_addf(out,
	    "],\"next\":%zu,\"totals\":{\"rows\":%lld,\"cost_nanousd\":%lld,"
	    "\"streamed\":%lld,\"disconnected\":%lld,\"tokens\":{",
	    end, (long long)b->n_billed, (long long)b->cost,
	    (long long)b->n_streamed, (long long)b->n_disconnected);
	for (int c = 0; c < SIM_CLASSES; c++)
		buf_addf(out, "%s\"%s\":%lld", c == 0 ? "" : ",",
		    sim_class_names[c], (long long)b->tokens[c]);
	buf_addz(out, "}}}\n");
	pthread_mutex_unlock(&b->lock);
}

void
bill_reset(struct bill *b)
{
	pthread_mutex_lock(&b->lock);
	b->n_rows = 0;
	b->n_billed = b->n_disconnected = b->n_streamed = b->cost = 0;
	memset(b->tokens, 0, sizeof(b->tokens));
	if (b->fd >= 0)
		(void)!ftruncate(b->fd, 0);
	pthread_mutex_unlock(&b->lock);
}
