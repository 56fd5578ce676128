//! The whole of Moat on this node: `moat up` with its agent, a private containerd, real containers. Each test
//! asserts what the attacker could do and what the event says.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bad_input;
mod flood;
mod life_cycle;
mod node;
mod program;
mod response;
mod safety;
mod scale;
mod start;
mod uninstall;

use node::Node;
