//! What the lab's kernel calls in place of libc's `ptrace`: a library of its own, made by `build.rs`.
//!
//! A User-Mode Linux kernel keeps its processes' extended registers in 2,696 bytes, and gives as many back. On a
//! processor with AMX there are 11,008, and Linux takes all or nothing (`xstateregs_set`, `arch/x86/kernel/fpu/regset.c`):
//! the first process would end with a segmentation fault. Here the bytes that the kernel does not know of are added. They
//! say nothing: what they are for no process of the lab may use, because its kernel does not know how to let it.
#![no_std]

use core::ffi::{c_int, c_long, c_void};
use core::ptr::copy_nonoverlapping;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const SYS_PTRACE: c_long = 101;
const PEEK_FIRST: c_int = 1;
const PEEK_LAST: c_int = 3;
const GET_REGISTERS: c_int = 0x4204;
const SET_REGISTERS: c_int = 0x4205;
/// `NT_X86_XSTATE`
const EXTENDED: usize = 0x202;

#[repr(C)]
struct Bytes {
    start: *mut u8,
    length: usize,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
}

const ROOM: usize = 64 * 1024;
/// All extended registers of a process; more than any processor has. The kernel has one thread that traces.
static mut ALL: [u8; ROOM] = [0; ROOM];
/// How many bytes they are; 0 as long as what the kernel gives is enough.
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// The call of libc's name.
#[unsafe(no_mangle)]
unsafe extern "C" fn ptrace(request: c_int, process: c_int, address: usize, data: *mut c_void) -> c_long {
    // SAFETY: what the caller of `ptrace` says of the pointers is what the system call asks for.
    // It is given whole registers: of a shorter number the upper half would be anything.
    let call = |request: c_int, data: *mut c_void| unsafe {
        syscall(SYS_PTRACE, c_long::from(request), c_long::from(process), address, data)
    };
    match request {
        // libc returns the word; the system call writes it where `data` points.
        PEEK_FIRST..=PEEK_LAST => {
            let mut word: c_long = 0;
            let answer = call(request, (&raw mut word).cast());
            if answer < 0 {
                return answer;
            }
            // SAFETY: it is this thread's own.
            unsafe { *__errno_location() = 0 };
            word
        }
        SET_REGISTERS if address == EXTENDED => {
            let mut all = Bytes { start: (&raw mut ALL).cast(), length: LENGTH.load(Relaxed) };
            if all.length == 0 {
                let answer = call(request, data);
                all.length = ROOM;
                if answer >= 0 || call(GET_REGISTERS, (&raw mut all).cast()) < 0 {
                    return answer;
                }
                LENGTH.store(all.length, Relaxed);
            }
            let given = data.cast::<Bytes>();
            // SAFETY: both say how long they are, and nobody else touches `ALL`.
            unsafe { copy_nonoverlapping((*given).start, all.start, (*given).length.min(all.length)) };
            call(request, (&raw mut all).cast())
        }
        _ => call(request, data),
    }
}

#[panic_handler]
fn nothing_here_panics(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
