/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See channel_errno.h. libnng calls these through the dynamic linker, which
 * finds the program's before libc's. They are weak so that a test can have its
 * own and say EPIPE after all.
 */
#include "proto/channel_errno.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

bool
channel_errno_mended(void)
{
	return false;
}

#else

bool
channel_errno_mended(void)
{
	return true;
}

static ssize_t
mended(ssize_t n)
{
	if (n < 0 && errno == EPIPE)
		errno = ECONNRESET;
	return n;
}

__attribute__((weak)) ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	return mended(syscall(SYS_sendmsg, fd, m, flags));
}

__attribute__((weak)) ssize_t
readv(int fd, const struct iovec *v, int n)
{
	return mended(syscall(SYS_readv, fd, v, n));
}

#endif
