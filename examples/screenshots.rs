//! Makes the pictures in `screenshots/`: runs espial in the lab, presses keys, writes what the terminal shows as SVG.
//!
//! `make screenshots`, or `cargo run --example screenshots`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::match_wild_err_arm,
    clippy::cast_precision_loss,
    reason = "a tool for whoever works on espial: it stops at the first thing that is wrong and says where"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use vt100::{Color, Parser};

/// Longer than a boot on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// One picture: its file, the window, the lab's arguments, and what is done before it is taken.
struct Picture {
    name: &'static str,
    size: (u16, u16),
    arguments: &'static [&'static str],
    steps: &'static [Step],
}

enum Step {
    /// Wait until this is on the screen.
    Sees(&'static str),
    /// Press these keys.
    Press(&'static str),
    /// Let traffic come in.
    Wait(Duration),
}

use Step::{Press, Sees, Wait};

const PICTURES: &[Picture] = &[
    Picture {
        name: "sas",
        size: (120, 32),
        arguments: &["--profile", "article"],
        steps: &[Sees("0x000007d1"), Wait(Duration::from_secs(4))],
    },
    Picture {
        name: "policies",
        size: (120, 32),
        arguments: &["--profile", "article"],
        steps: &[Sees("0x000007d1"), Press("2"), Sees("in the kernel's order")],
    },
    Picture {
        name: "packets",
        size: (120, 32),
        arguments: &["--profile", "article"],
        steps: &[
            Sees("0x000007d1"),
            Press("3"),
            Sees("ESP+AH ok"),
            Press("/text \"hello world\"\r"),
            Wait(Duration::from_secs(5)),
            Press(" "),
        ],
    },
    Picture {
        name: "packet",
        size: (120, 32),
        arguments: &["--profile", "tunnel"],
        steps: &[
            Sees("aes-gcm"),
            Press("3"),
            Sees("ESP ok"),
            Press("/esp and text \"hello world\"\r"),
            Wait(Duration::from_secs(3)),
            // The innermost layer but one: its bytes in both columns.
            Press(" \r\x1b[Z\x1b[Z"),
            Wait(Duration::from_secs(1)),
        ],
    },
    Picture {
        name: "check",
        size: (120, 32),
        arguments: &["--profile", "article"],
        steps: &[
            Sees("0x000007d1"),
            Press("c"),
            Sees("[ Watch ]"),
            Press("\r"),
            Sees("10.9.0.2 encrypted?"),
            Wait(Duration::from_secs(11)),
        ],
    },
    Picture {
        name: "events",
        size: (120, 32),
        arguments: &["--profile", "gcm"],
        steps: &[
            Sees("aes-gcm"),
            Press("dy"),
            Sees("deleted SA"),
            Wait(Duration::from_secs(3)),
            Press("4"),
            Sees("kernel"),
        ],
    },
    Picture {
        name: "add-sa",
        size: (80, 24),
        arguments: &["--profile", "none"],
        steps: &[Sees("1 SAs"), Press("a\t\t10.9.0.1\t10.9.0.2\t\x07\t\t\x07"), Sees("••••")],
    },
    Picture {
        name: "flush",
        size: (80, 24),
        arguments: &["--profile", "article"],
        steps: &[Sees("0x000007d1"), Press("F"), Sees("Delete all SAs?")],
    },
    Picture {
        name: "light",
        size: (100, 28),
        arguments: &["--profile", "article"],
        steps: &[Sees("0x000007d1"), Press(":theme light\r"), Wait(Duration::from_secs(3))],
    },
];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debug/espial");
    assert!(program.exists(), "build espial first: make screenshots");
    let only: Vec<String> = std::env::args().skip(1).collect();
    for picture in PICTURES.iter().filter(|picture| only.is_empty() || only.iter().any(|name| name == picture.name)) {
        let svg = take(&program, picture);
        let path = folder.join(format!("{}.svg", picture.name));
        fs::write(&path, svg).unwrap();
        println!("{}", path.display());
    }
}

fn take(program: &Path, picture: &Picture) -> String {
    let (cols, rows) = picture.size;
    let pair = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut command = CommandBuilder::new(program);
    command.arg("lab");
    command.args(picture.arguments);
    command.env("TERM", "xterm-256color");
    command.env_remove("NO_COLOR");
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut writer = pair.master.take_writer().unwrap();
    let (sender, output) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut parser = Parser::new(NonZero::new(rows).unwrap(), NonZero::new(cols).unwrap(), 0);
    for step in picture.steps {
        match step {
            Sees(text) => until(&mut parser, &output, PATIENCE, |screen| screen.contains(text), text),
            Press(keys) => writer.write_all(keys.as_bytes()).unwrap(),
            Wait(time) => {
                let end = Instant::now() + *time;
                while let Ok(bytes) = output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                    parser.process(&bytes);
                }
            }
        }
    }
    // The last step's own picture is on its way.
    while let Ok(bytes) = output.recv_timeout(Duration::from_millis(400)) {
        parser.process(&bytes);
    }
    let picture = svg(parser.screen());
    writer.write_all(b"\x03").unwrap();
    child.wait().unwrap();
    picture
}

fn until(parser: &mut Parser, output: &Receiver<Vec<u8>>, time: Duration, done: impl Fn(&str) -> bool, what: &str) {
    let end = Instant::now() + time;
    while !done(&parser.screen().contents()) {
        match output.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(bytes) => parser.process(&bytes),
            Err(_) => panic!("{what:?} did not come; the screen:\n{}", parser.screen().contents()),
        }
    }
}

const CELL_WIDTH: f32 = 8.4;
const CELL_HEIGHT: f32 = 18.0;
const MARGIN: f32 = 12.0;
const FOREGROUND: &str = "#d0d4dc";
const BACKGROUND: &str = "#161a22";

/// What a run of cells looks like.
#[derive(Clone, PartialEq)]
struct Look {
    foreground: String,
    background: Option<String>,
    bold: bool,
    underlined: bool,
}

fn look(cell: &vt100::Cell, page: &str) -> Look {
    let foreground = colour(cell.fgcolor()).unwrap_or_else(|| FOREGROUND.to_owned());
    let background = colour(cell.bgcolor());
    let (foreground, background) = if cell.inverse() {
        (background.unwrap_or_else(|| page.to_owned()), Some(foreground))
    } else {
        (foreground, background)
    };
    Look { foreground, background, bold: cell.bold(), underlined: cell.underline() }
}

fn colour(colour: Color) -> Option<String> {
    const BASIC: [&str; 16] = [
        "#1c1f26", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d0d4dc", "#5c6370", "#e06c75",
        "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#ffffff",
    ];
    match colour {
        Color::Default => None,
        Color::Idx(index) => BASIC.get(usize::from(index)).map(|name| (*name).to_owned()),
        Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
    }
}

/// A theme for light terminals writes dark text: its picture needs a light page.
fn page(screen: &vt100::Screen) -> &'static str {
    match screen.cell(0, 0).map(vt100::Cell::fgcolor) {
        Some(Color::Rgb(r, g, b)) if u16::from(r) + u16::from(g) + u16::from(b) < 384 => "#fbfcfe",
        _ => BACKGROUND,
    }
}

fn svg(screen: &vt100::Screen) -> String {
    let (rows, cols) = screen.size();
    let (rows, cols) = (rows.get(), cols.get());
    let page = page(screen);
    let (width, height) = (f32::from(cols) * CELL_WIDTH + 2.0 * MARGIN, f32::from(rows) * CELL_HEIGHT + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <style>text {{ font-family: 'DejaVu Sans Mono', 'JetBrains Mono', Menlo, Consolas, monospace; \
         font-size: 14px}}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{page}\"/>\n"
    );
    for row in 0..rows {
        let y = MARGIN + f32::from(row) * CELL_HEIGHT;
        let mut column = 0;
        while column < cols {
            let Some(cell) = screen.cell(row, column) else {
                break;
            };
            let look_here = look(cell, page);
            let start = column;
            let mut text = String::new();
            while let Some(cell) =
                screen.cell(row, column).filter(|cell| column < cols && look(cell, page) == look_here)
            {
                if !cell.is_wide_continuation() {
                    text += if cell.has_contents() { cell.contents() } else { " " };
                }
                column += 1;
            }
            draw_run(&mut svg, &look_here, &text, (start, column - start), y);
        }
    }
    svg + "</svg>\n"
}

fn draw_run(svg: &mut String, look: &Look, text: &str, (start, cells): (u16, u16), y: f32) {
    let (x, width) = (MARGIN + f32::from(start) * CELL_WIDTH, f32::from(cells) * CELL_WIDTH);
    if let Some(background) = &look.background {
        writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{background}\"/>"
        )
        .unwrap();
    }
    let shown = text.trim_end();
    if shown.is_empty() && !look.underlined {
        return;
    }
    // A run begins with its first letter: blanks at its edge are not every viewer's.
    let blanks = if look.underlined { 0 } else { shown.len() - shown.trim_start_matches(' ').len() };
    let x = x + blanks as f32 * CELL_WIDTH;
    let text = if look.underlined { text } else { &shown[blanks..] };
    let length = unicode_width::UnicodeWidthStr::width(text) as f32 * CELL_WIDTH;
    // Not every viewer keeps blanks as they are, but all keep these.
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(' ', "\u{a0}");
    let bold = if look.bold { " font-weight=\"bold\"" } else { "" };
    let underline = if look.underlined { " text-decoration=\"underline\"" } else { "" };
    let (base, fill) = (y + 13.5, &look.foreground);
    writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{base:.1}\" textLength=\"{length:.1}\" fill=\"{fill}\"{bold}{underline}>{escaped}</text>"
    )
    .unwrap();
}
