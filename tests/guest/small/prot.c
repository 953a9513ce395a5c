/* SPDX-License-Identifier: BSD-2-Clause */
#include "prot.h"

#include <string.h>

void
load(struct t *t, enum vm_segreg s, uint16_t sel, uint64_t base,
    uint32_t limit, uint32_t access)
{
	struct vm_seg v = { .base = base, .limit = limit, .access = access,
		.sel = sel };

	(void)vcpu_set_seg(t->g->cpu, s, &v);
}

void
gate(struct t *t, unsigned v, uint32_t to, unsigned type)
{
	set_mem(t, P_IDT + 8 * v, 8, (to & 0xffff) | (uint64_t)S_CODE32 << 16 |
		(uint64_t)type << 40 | (uint64_t)(to >> 16) << 48);
}

void
prot(struct t *t, struct code c)
{
	static const enum vm_reg regs[] = { VM_REG_RAX, VM_REG_RBX, VM_REG_RCX,
		VM_REG_RDX, VM_REG_RSI, VM_REG_RDI, VM_REG_RBP };
	uint8_t tss[104] = { 0 };
	uint32_t v = P_ESP0;

	put(t, T_CODE, c);
	gvm_start(t->g, T_CODE);
	set(t, VM_REG_CR0, 0x31);
	set(t, VM_REG_EFER, 0);
	set(t, VM_REG_CR4, 0x600);
	set_gdt(t, S_CODE32, 0x00cf9b000000ffff);
	set_gdt(t, S_DATA32, 0x00cf93000000ffff);
	set_gdt(t, S_CODE16, 0x00009b080000ffff);
	set_gdt(t, S_DATA16, 0x0000930a0000ffff);
	set_gdt(t, S_STACK16, 0x000093070000ffff);
	set_gdt(t, S_TSS, 0x00008b00e0000087);
	memcpy(tss + 4, &v, 4);
	tss[8] = S_DATA32;
	tss[102] = 104;
	gvm_write(t->g, P_TSS, tss, sizeof(tss));
	/* Ports 0 to ff but the stop's are denied, the rest not. */
	memset(gvm_ptr(t->g, P_TSS + 104), 0, 33);
	memset(gvm_ptr(t->g, P_TSS + 104), 0xff, 32);
	set_mem(t, P_TSS + 104 + GVM_STOP_PORT / 8, 1, 0xef);
	load(t, VM_SEG_TR, S_TSS, P_TSS, 0x2087, 0x8b);
	load(t, VM_SEG_CS, S_CODE32, 0, 0xffffffff, 0xc09b);
	for (unsigned i = VM_SEG_ES; i <= VM_SEG_GS; i++)
		if (i != VM_SEG_CS)
			load(t, (enum vm_segreg)i, S_DATA32, 0, 0xffffffff,
			    0xc093);
	load(t, VM_SEG_IDTR, 0, P_IDT, 0x7ff, 0);
	for (unsigned i = 0; i < 256; i++)
		gate(t, i, (uint32_t)GVM_STUBS + 16 * i, 0xee);
	for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		set(t, regs[i], HI);
}

void
prot16(struct t *t, struct code c)
{
	prot(t, c);
	load(t, VM_SEG_CS, S_CODE16, T_CODE, 0xffff, 0x9b);
	load(t, VM_SEG_SS, S_STACK16, P_SS, 0xffff, 0x93);
	load(t, VM_SEG_DS, S_DATA16, T_DATA, 0xffff, 0x93);
	load(t, VM_SEG_ES, S_DATA16, T_DATA, 0xffff, 0x93);
	set(t, VM_REG_RIP, 0);
	set(t, VM_REG_RSP, HI | 0x1000);
}

uint16_t
sel(struct t *t, enum vm_segreg s)
{
	struct vm_seg v = { 0 };

	(void)vcpu_get_seg(t->g->cpu, s, &v);
	return (v.sel);
}

uint64_t
base(struct t *t, enum vm_segreg s)
{
	struct vm_seg v = { 0 };

	(void)vcpu_get_seg(t->g->cpu, s, &v);
	return (v.base);
}
