/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the processor's units an instruction belongs to, and whether the
 * guest has it turned on.
 */
#include "vmm/soft/tr.h"

static bool
is_vector(ZydisRegister r)
{
	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_X87:
	case ZYDIS_REGCLASS_MMX:
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
	case ZYDIS_REGCLASS_MASK:
		return (true);
	default:
		return (r == ZYDIS_REGISTER_MXCSR ||
		    r == ZYDIS_REGISTER_X87CONTROL ||
		    r == ZYDIS_REGISTER_X87STATUS ||
		    r == ZYDIS_REGISTER_X87TAG);
	}
}

enum unit
tr_unit(const struct tr *t)
{
	bool any = false, mmx = false;

	switch (t->in.mnemonic) {
	case ZYDIS_MNEMONIC_EMMS:
		return (UNIT_MMX);
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_STMXCSR:
	case ZYDIS_MNEMONIC_CVTSS2SI: /* from memory: no vector register, */
	case ZYDIS_MNEMONIC_CVTSD2SI: /* but rounding and flags of MXCSR */
	case ZYDIS_MNEMONIC_CVTTSS2SI:
	case ZYDIS_MNEMONIC_CVTTSD2SI:
		return (UNIT_SSE);
	case ZYDIS_MNEMONIC_VLDMXCSR:
	case ZYDIS_MNEMONIC_VSTMXCSR:
	case ZYDIS_MNEMONIC_VZEROALL:
	case ZYDIS_MNEMONIC_VZEROUPPER:
		return (UNIT_AVX);
	case ZYDIS_MNEMONIC_VCVTSS2SI:
	case ZYDIS_MNEMONIC_VCVTSD2SI:
	case ZYDIS_MNEMONIC_VCVTTSS2SI:
	case ZYDIS_MNEMONIC_VCVTTSD2SI:
	case ZYDIS_MNEMONIC_VCVTSS2USI:
	case ZYDIS_MNEMONIC_VCVTSD2USI:
	case ZYDIS_MNEMONIC_VCVTTSS2USI:
	case ZYDIS_MNEMONIC_VCVTTSD2USI:
	case ZYDIS_MNEMONIC_VCVTSH2SI:
	case ZYDIS_MNEMONIC_VCVTTSH2SI:
	case ZYDIS_MNEMONIC_VCVTSH2USI:
	case ZYDIS_MNEMONIC_VCVTTSH2USI:
		return (t->in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ?
			UNIT_AVX512 :
			UNIT_AVX);
	default:
		break;
	}
	if (t->in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	    t->in.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
	    ((t->in.opcode >= 0xd8 && t->in.opcode <= 0xdf) ||
		t->in.opcode == 0x9b))
		return (UNIT_X87);
	for (unsigned i = 0; i < t->in.operand_count; i++)
		if (t->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    is_vector(t->op[i].reg.value)) {
			any = true;
			if (ZydisRegisterGetClass(t->op[i].reg.value) ==
			    ZYDIS_REGCLASS_MMX)
				mmx = true;
		}
	if (!any)
		return (UNIT_INT);
	if (t->in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
		return (UNIT_AVX512);
	if (t->in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
		/* KMOV and its kin need the opmask state. */
		for (unsigned i = 0; i < t->in.operand_count; i++)
			if (t->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
			    ZydisRegisterGetClass(t->op[i].reg.value) ==
				ZYDIS_REGCLASS_MASK)
				return (UNIT_AVX512);
		return (UNIT_AVX);
	}
	return (mmx ? UNIT_MMX : UNIT_SSE);
}

bool
tr_unit_fault(struct tr *t, enum unit u)
{
	bool ud, nm = (t->flags & BF_TS) != 0;
	uint32_t f = t->flags;

	switch (u) {
	case UNIT_INT:
		return (false);
	case UNIT_X87:
		ud = false;
		if (t->in.opcode == 0x9b) /* WAIT: TS and MP together */
			nm = (f & BF_TS) && (f & BF_MP);
		else
			nm = nm || (f & BF_EM);
		break;
	case UNIT_MMX:
		ud = (f & BF_EM) != 0;
		break;
	case UNIT_SSE:
		ud = (f & BF_EM) || !(f & BF_OSFXSR);
		break;
	case UNIT_AVX:
		ud = !(f & BF_AVX);
		break;
	default:
		ud = !(f & BF_AVX512);
		break;
	}
	if (!ud && !nm)
		return (false);
	tr_exception(t, ud ? EXC_UD : EXC_NM, false);
	return (true);
}

bool
tr_x87_no_wait(ZydisMnemonic mn)
{
	switch (mn) {
	case ZYDIS_MNEMONIC_FNSTCW:
	case ZYDIS_MNEMONIC_FNSTSW:
		return (true);
	default:
		return (false);
	}
}
