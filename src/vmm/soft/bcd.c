/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decimal adjustments: they have no encoding in 64-bit mode. Intel SDM volume
 * 2, the pages of the instructions. A light file, see soft.h.
 */
#include "vmm/soft/soft.h"

enum { K_AAA, K_AAS, K_DAA, K_DAS, K_AAM, K_AAD, K_SALC };

/* SF, ZF and PF of a byte. */
static uint64_t
result_flags(uint8_t v)
{
	return ((v & 0x80 ? FL_SF : 0) | (v == 0 ? FL_ZF : 0) |
	    (__builtin_parity(v) ? 0 : FL_PF));
}

static void
ascii(struct soft_cpu *cpu, uint64_t *fl, bool subtract)
{
	uint16_t ax = (uint16_t)cpu->gpr[R_AX];

	if ((ax & 0xf) > 9 || (*fl & FL_AF)) {
		ax = (uint16_t)(subtract ? ax - 0x106 : ax + 0x106);
		*fl |= FL_AF | FL_CF;
	} else
		*fl &= ~(FL_AF | FL_CF);
	ax &= 0xff0f;
	cpu->gpr[R_AX] = (cpu->gpr[R_AX] & ~0xffffull) | ax;
}

static void
decimal(struct soft_cpu *cpu, uint64_t *fl, bool subtract)
{
	uint8_t al = (uint8_t)cpu->gpr[R_AX], old = al;
	bool cf = (*fl & FL_CF) != 0, carry = false;

	if ((al & 0xf) > 9 || (*fl & FL_AF)) {
		carry = cf || (subtract ? al < 6 : al > 0xf9);
		al = (uint8_t)(subtract ? al - 6 : al + 6);
		*fl |= FL_AF;
	} else
		*fl &= ~FL_AF;
	if (old > 0x99 || cf) {
		al = (uint8_t)(subtract ? al - 0x60 : al + 0x60);
		carry = true;
	}
	*fl &= ~(FL_CF | FL_SF | FL_ZF | FL_PF);
	*fl |= (carry ? FL_CF : 0) | result_flags(al);
	cpu->gpr[R_AX] = (cpu->gpr[R_AX] & ~0xffull) | al;
}

/* T0: kind, T1: base of AAM and AAD. */
void
soft_h_bcd(struct soft_cpu *cpu, uint64_t kind, uint64_t base)
{
	uint64_t fl = soft_get_rflags(cpu);
	uint8_t al = (uint8_t)cpu->gpr[R_AX];
	uint8_t ah = (uint8_t)(cpu->gpr[R_AX] >> 8);

	switch (kind) {
	case K_AAA:
	case K_AAS:
		ascii(cpu, &fl, kind == K_AAS);
		break;
	case K_DAA:
	case K_DAS:
		decimal(cpu, &fl, kind == K_DAS);
		break;
	case K_AAM:
		if (base == 0)
			soft_raise(cpu, EXC_DE);
		ah = (uint8_t)(al / base);
		al = (uint8_t)(al % base);
		break;
	case K_AAD:
		al = (uint8_t)(al + ah * base);
		ah = 0;
		break;
	default: /* SALC */
		al = fl & FL_CF ? 0xff : 0;
		break;
	}
	if (kind >= K_AAM)
		cpu->gpr[R_AX] = (cpu->gpr[R_AX] & ~0xffffull) |
		    (uint64_t)ah << 8 | al;
	if (kind == K_AAM || kind == K_AAD)
		fl = (fl & ~(FL_SF | FL_ZF | FL_PF)) | result_flags(al);
	soft_set_rflags(cpu, fl);
}
