//! The admin API as the Worker sees it: what a request needs of which object, and the answer made
//! of what they say. Pure: the shell carries messages to and fro.

pub mod admin;
mod health;
mod metrics;
#[cfg(not(target_arch = "wasm32"))]
pub mod openapi;
#[cfg(not(target_arch = "wasm32"))]
mod schemas;
mod spanning;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod tests;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
pub(crate) mod world;

pub use crate::http::{Reply, Request, problem, route};
