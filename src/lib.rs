//! espial
pub mod kernel;
pub mod model;
mod sys;
