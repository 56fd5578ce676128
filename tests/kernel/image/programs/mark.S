// gcc: -static -nostdlib
// mark [FILE]: its first system call creates FILE, else /proof/ran, so that a process that executed as much as a few
// instructions of it leaves a mark. Exits with 0.
.globl _start
_start: lea ran(%rip), %rdi
        cmpq $2, (%rsp)         // argc
        cmovge 16(%rsp), %rdi   // argv[1]
        mov $66, %esi           // O_CREAT | O_RDWR
        mov $0644, %edx
        mov $2, %eax            // open
        syscall
        xor %edi, %edi
        mov $60, %eax           // exit
        syscall
        .section .rodata
ran:    .asciz "/proof/ran"
        .section .note.GNU-stack,"",@progbits
