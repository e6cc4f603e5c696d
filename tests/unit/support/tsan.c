/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the thread sanitizer must not judge: libraries of the system that are
 * not compiled with it. It sees their memory accesses through interceptors
 * but not their atomics, and so takes their reference counts for races.
 */
const char *__tsan_default_suppressions(void);

const char *
__tsan_default_suppressions(void)
{
	return "race:libnng.so\n"
	       "race:libmbed\n";
}
