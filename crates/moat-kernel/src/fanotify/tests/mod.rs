//! The driver against the real kernel: containers of our own making, each on its own overlay.

mod executions;
mod latency;
mod life_cycle;
mod opens;
mod sandbox;
