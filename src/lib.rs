//! Headgate decides, at the edge, who sees what: feature flags, experiment variants,
//! stable or canary site, update or not.
//!
//! # Layers
//! Dependencies run one way, from left to right:
//! `id time limits json token <- bucketing <- flag <- {update route event startup} <- http <- control <- api <- edge`.
//!
//! Everything but `edge` is pure: no I/O, no clock, no randomness; all three are arguments.
//! `edge` is the boundary to the JavaScript shell and the only room with `unsafe` code.

pub mod api;
pub mod bucketing;
pub mod control;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod edge;
pub mod event;
pub mod explain;
pub mod flag;
pub mod gateway;
pub mod http;
pub mod id;
pub mod json;
pub mod limits;
pub mod route;
pub mod snapshot;
pub mod startup;
pub mod time;
pub mod token;
pub mod update;
