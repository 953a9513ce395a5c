/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vsock connect|listen PORT: a stream between its input and output and a
 * socket of the host's, or of whoever connects first.
 */
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int
copy(int from, int to)
{
	char buf[16384];
	ssize_t n, done, k;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		for (done = 0; done < n; done += k)
			if ((k = write(to, buf + done, (size_t)(n - done))) < 0)
				return (1);
	return (n < 0);
}

int
main(int argc, char *argv[])
{
	struct sockaddr_vm sa = {.svm_family = AF_VSOCK,
	    .svm_cid = VMADDR_CID_HOST};
	int fd, conn, status, failed;

	if (argc != 3)
		return (2);
	sa.svm_port = (unsigned)atoi(argv[2]);
	fd = conn = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (strcmp(argv[1], "listen") == 0) {
		sa.svm_cid = VMADDR_CID_ANY;
		if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
		    listen(fd, 1) != 0 || (conn = accept(fd, NULL, NULL)) < 0)
			goto fail;
	} else if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		goto fail;
	}
	if (fork() == 0) {
		failed = copy(0, conn);
		_exit(failed || shutdown(conn, SHUT_WR) != 0);
	}
	failed = copy(conn, 1);
	if (wait(&status) < 0 || status != 0)
		failed = 1;
	return (failed);
fail:
	perror(argv[1]);
	return (1);
}
