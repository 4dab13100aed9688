/* The switch between two stacks, for x86-64 (System V) and AArch64 (AAPCS64): saves what a call
 * must preserve on the old stack, and continues on the new one. Private to fiber.c. */
#ifndef IO_SWITCH_H
#define IO_SWITCH_H

/* Stores the old stack pointer in *save_sp, continues at `sp`. */
void io_switch_stacks(void **save_sp, void *sp);

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl io_switch_stacks\n"
        ".type io_switch_stacks,@function\n"
        "io_switch_stacks:\n"
        "  endbr64\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size io_switch_stacks,.-io_switch_stacks\n");

/* A new stack looks as if `entry` had been interrupted before its first instruction: six saved
 * registers, the return address, and a zero above it that ends backtraces. At entry rsp is 8 below
 * a multiple of 16. */
static inline void *io_switch_prepare(char *top, void (*entry)(void))
{
    void **sp = (void **)(void *)top;
    *--sp = 0;
    *--sp = (void *)entry;
    for (int i = 0; i < 6; i++)
        *--sp = 0;
    return sp;
}

#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl io_switch_stacks\n"
        ".type io_switch_stacks,%function\n"
        "io_switch_stacks:\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp, #0]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n"
        "  stp x25, x26, [sp, #48]\n  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp, #0]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n"
        "  ldp x25, x26, [sp, #48]\n  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
        "  add sp, sp, #160\n"
        "  ret\n"
        ".size io_switch_stacks,.-io_switch_stacks\n");

static inline void *io_switch_prepare(char *top, void (*entry)(void))
{
    void **sp = (void **)(void *)(top - 160);
    for (int i = 0; i < 20; i++)
        sp[i] = 0;
    sp[11] = (void *)entry; /* x30 */
    return sp;
}
#else
#error "io/switch.h: write io_switch_stacks for this processor"
#endif

#endif
