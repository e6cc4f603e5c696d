/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fetch.h"

#include "cli/client.h"
#include "cli/show.h"

int
fetch_all(struct cli *c, const char *path, const char *columns)
{
	json_t *list = NULL;
	int rc = client_get_all(c, path, &list);

	if (rc == 0)
		show_list(c, list, columns);
	json_decref(list);
	return rc;
}

int
fetch_some(struct cli *c, const struct cli_args *a, struct buf *path,
    const char *usual, const char *columns)
{
	const char *limit = args_get(a, "limit");
	json_t *reply = NULL;
	int rc;

	if (args_has(a, "all"))
		return fetch_all(c, buf_cstr(path), columns);
	client_query(path, "limit", limit != NULL ? limit : usual);
	rc = client_call(c, "GET", buf_cstr(path), NULL, &reply, NULL);
	if (rc == 0)
		show_list(c, json_object_get(reply, "items"), columns);
	json_decref(reply);
	return rc;
}

int
fetch_page(struct cli *c, const char *path, const char *columns)
{
	json_t *reply = NULL;
	int rc = client_call(c, "GET", path, NULL, &reply, NULL);

	if (rc == 0 && c->output == OUT_JSON)
		show_json(c, reply);
	else if (rc == 0)
		show_list(c, json_object_get(reply, "items"), columns);
	json_decref(reply);
	return rc;
}

int
fetch_fields(struct cli *c, const char *path)
{
	json_t *reply = NULL;
	int rc = client_call(c, "GET", path, NULL, &reply, NULL);

	if (rc == 0)
		show_fields(c, reply);
	json_decref(reply);
	return rc;
}
