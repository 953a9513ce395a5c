/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A byte of an I/O port: `port NUMBER` prints it, `port NUMBER VALUE` writes
 * it. Debian's cloud kernel has no /dev/port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

int
main(int argc, char *argv[])
{
	unsigned short port;

	if (argc < 2 || argc > 3)
		return (2);
	if (iopl(3) != 0) {
		perror("port: iopl");
		return (1);
	}
	port = (unsigned short)strtoul(argv[1], NULL, 0);
	if (argc == 3)
		outb((unsigned char)strtoul(argv[2], NULL, 0), port);
	else
		printf("%u\n", inb(port));
	return (0);
}
