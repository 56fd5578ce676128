# mark FILE [stay]: its first system call creates FILE, so that a process which executed a single instruction
# of it, and was not stopped within microseconds, leaves a mark. With `stay` it waits for its end, else it exits
# with status 7.
.globl _start
#if defined(__x86_64__)
_start: mov 16(%rsp), %rdi      # argv[1]
        mov $66, %esi           # O_CREAT | O_RDWR
        mov $0644, %edx
        mov $2, %eax            # open
        syscall
        cmpq $3, (%rsp)         # argc
        jge stay
        mov $7, %edi
        mov $60, %eax           # exit
        syscall
stay:   mov $34, %eax           # pause
        syscall
        jmp stay
#elif defined(__aarch64__)
_start: mov x0, #-100           // AT_FDCWD
        ldr x1, [sp, #16]       // argv[1]
        mov x2, #66             // O_CREAT | O_RDWR
        mov x3, #0644
        mov x8, #56             // openat
        svc #0
        ldr x9, [sp]            // argc
        cmp x9, #3
        b.ge stay
        mov x0, #7
        mov x8, #93             // exit
        svc #0
stay:   mov x0, #0
        mov x1, #0
        mov x2, #0
        mov x3, #0
        mov x8, #73             // ppoll
        svc #0
        b stay
#endif
