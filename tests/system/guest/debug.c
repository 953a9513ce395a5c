/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bare metal, started by PVH: says hello on bvmcons and the debug port and
 * gives back what is typed there up to a newline; then ends by the exit port
 * that there is.
 */
#include <stdint.h>

__asm__(".section .note.pvh,\"a\",@note\n"
	"	.long 4, 4, 18\n" /* XEN_ELFNOTE_PHYS32_ENTRY */
	"	.asciz \"Xen\"\n"
	"	.long _start\n"
	"	.text\n"
	"	.globl _start\n"
	"_start:	mov $stack + 4096, %esp\n"
	"	jmp kmain\n"
	"	.bss\n"
	"stack:	.skip 4096\n"
	"	.text\n");

static void
outb(uint16_t port, uint8_t val)
{
	__asm__ volatile("outb %0, %1" : : "a"(val), "Nd"(port));
}
static void
outl(uint16_t port, uint32_t val)
{
	__asm__ volatile("outl %0, %1" : : "a"(val), "Nd"(port));
}
static uint8_t
inb(uint16_t port)
{
	uint8_t val;

	__asm__ volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return (val);
}
static uint16_t
inw(uint16_t port)
{
	uint16_t val;

	__asm__ volatile("inw %1, %0" : "=a"(val) : "Nd"(port));
	return (val);
}
static uint32_t
inl(uint16_t port)
{
	uint32_t val;

	__asm__ volatile("inl %1, %0" : "=a"(val) : "Nd"(port));
	return (val);
}

static void
talk(uint16_t port, const char *s)
{
	uint32_t c;

	/* Output is lost until somebody listens. */
	while (port == 0x224 && inl(port) != '?')
		;
	for (; *s != '\0'; s++)
		outl(port, (uint8_t)*s);
	do {
		c = inl(port);
		if (c != ~0u)
			outl(port, c);
	} while (c != '\n');
}

void kmain(void);
void
kmain(void)
{
	if (inw(0x220) == 0x6276)
		talk(0x220, "bvmcons: ");
	if (inw(0x224) == 0x4256)
		talk(0x224, "dbgport: ");
	/* Of pc-testdev, with its scratch port. */
	outl(0xe0, 0x12345678);
	if (inl(0xe0) == 0x12345678 && inb(0xf4) == 0)
		outl(0xf4, 0x15);
	if (inb(0x501) == 0)
		outb(0x501, 0x16);
	if (inb(0x600) == 0)
		outb(0x600, 0xff);
	/* Nobody there: a reset. */
	outb(0xcf9, 6);
	for (;;)
		__asm__ volatile("hlt");
}
