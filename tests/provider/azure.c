/* SPDX-License-Identifier: Apache-2.0 */
/* The content filter of Azure OpenAI: members, and frames in between whose
 * shape trips readers (no delta, no id, after the finish). */
#include "tests/provider/openai.h"

#define AZURE_SAFE                                                  \
	"{\"hate\":{\"filtered\":false,\"severity\":\"safe\"},"     \
	"\"self_harm\":{\"filtered\":false,\"severity\":\"safe\"}," \
	"\"sexual\":{\"filtered\":false,\"severity\":\"safe\"},"    \
	"\"violence\":{\"filtered\":false,\"severity\":\"safe\"}}"

void
azure_choice(const struct exchange *x, struct buf *out)
{
	buf_addz(out, ",\"content_filter_results\":");
	if (x->k.safety == 2)
		buf_addz(out, "{\"protected_material_text\":{\"detected\":"
			      "true,\"filtered\":true}}");
	else
		buf_addz(out, AZURE_SAFE);
}

void
azure_prompt(struct buf *out)
{
	buf_addz(out, ",\"prompt_filter_results\":[{\"prompt_index\":0,"
		      "\"content_filter_results\":" AZURE_SAFE "}]");
}

static bool
azure_frames(const struct exchange *x)
{
	return x->k.filters != 0;
}

void
azure_start(const struct exchange *x, struct buf *out)
{
	if (!azure_frames(x))
		return;
	buf_addz(out, "data: {\"id\":\"\",\"object\":\"\",\"created\":0,"
		      "\"model\":\"\",\"choices\":[]");
	azure_prompt(out);
	buf_addz(out, ",\"usage\":null}\n\n");
}

static void
azure_note(const struct exchange *x, bool finish, struct buf *out)
{
	buf_addf(out,
	    "data: {\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"\","
	    "\"choices\":[{\"index\":0,\"finish_reason\":%s",
	    finish && x->k.safety == 2 ? "\"content_filter\"" : "null");
	azure_choice(x, out);
	buf_addz(out, ",\"content_filter_offsets\":{\"check_offset\":44,"
		      "\"start_offset\":44,\"end_offset\":198}}],"
		      "\"usage\":null}\n\n");
}

void
azure_content(const struct exchange *x, int64_t event, struct buf *out)
{
	if (azure_frames(x) && event % 10 == 9)
		azure_note(x, false, out);
}

void
azure_finish(const struct exchange *x, struct buf *out)
{
	if (azure_frames(x))
		azure_note(x, true, out);
}
