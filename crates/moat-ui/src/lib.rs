//! The dashboard, embedded; or a page that says how to build it.
#![forbid(unsafe_code)]
