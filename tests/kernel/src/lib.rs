//! Moat's drivers, tested in the kernels that they are made for.
//!
//! [`bench`] runs on the host: it fetches kernels, builds an initramfs and boots guests. The program
//! `moat-guest` is everything that runs in a guest: its init ([`node`]), the suites ([`suites`]) and what makes
//! containers there ([`container`]). Both sides know the same cases, [`suites::all`], and talk by [`protocol`].
#![forbid(unsafe_code)]

pub mod bench;
pub mod bypass;
pub mod container;
pub mod differential;
pub mod node;
pub mod protocol;
pub mod suites;
