/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that texts in specs obey. */
#include <stdio.h>

#include "controlplane/config/validate.h"

bool
text_has_control(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

bool
text_is_ratio(struct str s)
{
	struct str whole, part;
	uint64_t milli;
	char digits[16];

	if (!str_starts(s, STR("bytes:")))
		return false;
	s = str_make(s.p + 6, s.len - 6);
	if (!str_cut(s, '.', &whole, &part))
		part = STR("0");
	if (whole.len == 0 || whole.len > 4 || part.len == 0 || part.len > 3)
		return false;
	(void)snprintf(digits, sizeof(digits), "%.*s%.*s%.*s", STR_ARG(whole),
	    STR_ARG(part), (int)(3 - part.len), "000");
	return str_to_u64(str_of(digits), &milli) == 0 && milli >= 100 &&
	       milli <= 1000000;
}
