//! The console: the terminal program.
//!
//! Events go in one direction: what happens becomes an [`event::Event`], [`state::State`] takes it in and asks for
//! [`command::Command`]s, the view draws the state, the runtime carries the commands out and their outcomes come back
//! as events. Only the runtime spawns tasks and threads; only the view and the theme know how anything looks.

pub mod action;
mod capturing;
mod changing;
pub mod clock;
pub mod columns;
pub mod command;
pub mod event;
pub mod form;
pub mod keymap;
pub mod probing;
mod recording;
pub mod remembered;
pub mod runtime;
pub mod state;
pub mod terminal;
pub mod text_field;
pub mod theme;
pub mod view;
