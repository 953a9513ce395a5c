/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that the assembly and the C of the kernel share. */
#ifndef LHYVE_TESTS_GUEST_KERNEL_LAYOUT_H
#define LHYVE_TESTS_GUEST_KERNEL_LAYOUT_H

/* Selectors. SYSRET wants ucode32, udata, ucode64 in this order. */
#define S_CODE64 0x08
#define S_DATA 0x10
#define S_CODE32 0x18
#define S_UCODE32 0x23
#define S_UDATA 0x2b
#define S_UCODE64 0x33
#define S_CODE16 0x38
#define S_DATA16 0x40
#define S_TSS64 0x48
#define S_TSS32 0x58
#define S_FREE 0x60 /* up to 0x1f8: the checks' own */

/* struct ctx */
#define C_RAX 0
#define C_RBX 8
#define C_RCX 16
#define C_RDX 24
#define C_RSI 32
#define C_RDI 40
#define C_RBP 48
#define C_RSP 56
#define C_R8 64
#define C_RIP 128
#define C_CS 136
#define C_RFLAGS 144
#define C_SS 152
#define C_DS 160
#define C_ES 168
#define C_FS 176
#define C_GS 184
#define C_VEC 192
#define C_ERR 200
#define C_CR2 208
#define C_CR0 216
#define C_CR3 224
#define C_CR4 232
#define C_MODE 240
#define C_SIZE 256

#define M_LONG 0
#define M_PROT 1   /* legacy protected or virtual-8086 */
#define M_REAL 2
#define M_UNREAL 3 /* real, DS and ES with a limit of 4 GiB */

#endif
