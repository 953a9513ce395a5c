/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LHYVE_CHIPSET_I8042_H
#define LHYVE_CHIPSET_I8042_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/state.h"
#include "bus/irq.h"
#include "bus/space.h"

#define PS2_QUEUE 16

/* A device behind a PS/2 port: what it has to say, and the command that
 * waits for its argument. */
struct ps2 {
	uint8_t queue[PS2_QUEUE];
	uint8_t head, count;
	uint8_t command; /* 0: none */
	bool enabled;    /* scanning, reporting */
	uint8_t last;    /* byte that was sent, for Resend */
};

/* The 8042 keyboard controller with an AT keyboard and a PS/2 mouse. Pure
 * core. */
struct i8042 {
	uint8_t ram[32]; /* byte 0: command byte */
	uint8_t command; /* waits for its data byte; 0: none */
	uint8_t outport;
	uint8_t obuf;
	bool obf;
	bool obf_aux; /* obuf is the mouse's */
	bool last_was_command;
	bool breaking; /* 0xf0 seen: the next scancode is a release */
	struct ps2 kbd, aux;
	uint8_t reply[4];  /* the controller's own */
	uint8_t reply_aux; /* bit n: reply n counts as the mouse's */
	uint8_t nreplies;
	uint8_t scanset;
	uint8_t mouse_rate, mouse_resolution;
	bool mouse_scale2, mouse_remote, mouse_wrap;
};
extern const struct state_table i8042_state;

#define I8042_IRQ_KBD 1u
#define I8042_IRQ_AUX 2u
#define I8042_RESET   4u

void i8042_reset(struct i8042 *k);
/* Bit 1 of the output port: address line 20 is open. */
bool i8042_a20(const struct i8042 *k);
/* Each returns what happens outside: an edge on IRQ1, on IRQ12, RESET. */
unsigned i8042_read_data(struct i8042 *k, uint8_t *val); /* port 0x60 */
unsigned i8042_write_data(struct i8042 *k, uint8_t val);
uint8_t i8042_read_status(const struct i8042 *k); /* port 0x64 */
unsigned i8042_write_command(struct i8042 *k, uint8_t val);
/* A key's set 2 scancode bytes; all or, without room, nothing. */
unsigned i8042_key(struct i8042 *k, const uint8_t *codes, unsigned n);
/* A mouse movement (x right, y up) with the buttons' state: left 1, right
 * 2, middle 4. */
unsigned i8042_mouse(struct i8042 *k, int dx, int dy, unsigned buttons);

/* i8042_ps2.c: what the two devices answer. */
void ps2_put(struct ps2 *p, uint8_t byte);
void ps2_clear(struct ps2 *p);
void ps2_kbd_write(struct i8042 *k, uint8_t val);
void ps2_aux_write(struct i8042 *k, uint8_t val);
void ps2_kbd_reset(struct i8042 *k);
void ps2_aux_reset(struct i8042 *k);
/* Set 2 to set 1, as the controller does it. */
uint8_t ps2_translate(uint8_t code);

/* The adapter: ports 0x60, 0x64, IRQ1, IRQ12. */
struct i8042_dev;
/* a20, with arg: i8042_dev_a20() says something else now. */
int i8042_dev_create(struct i8042_dev **out, struct bus_space *ports,
    struct irq_lines *irqs, void (*reset)(void *arg), void *arg,
    void (*a20)(void *arg), void *a20_arg);
void i8042_dev_destroy(struct i8042_dev *d);
void i8042_dev_reset(struct i8042_dev *d);
/* Bit 1 of the output port: address line 20 is open. */
bool i8042_dev_a20(struct i8042_dev *d);
void i8042_dev_key(struct i8042_dev *d, const uint8_t *codes, unsigned n);
void i8042_dev_mouse(struct i8042_dev *d, int dx, int dy, unsigned buttons);
void i8042_dev_dump(struct i8042_dev *d, FILE *out);

#endif
